//! Memory with a page on each side that faults when it is touched.

/// One page of bytes between two that may not be touched.
pub(super) struct Guarded {
    base: *mut u8,
    page: usize,
}

impl Guarded {
    /// A page filled with `fill`.
    pub(super) fn new(fill: u8) -> Guarded {
        // SAFETY: sysconf has no preconditions; the mapping is new, and the
        // protection and the writes stay inside of it.
        unsafe {
            let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap();
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let base = libc::mmap(
                std::ptr::null_mut(),
                3 * page,
                libc::PROT_NONE,
                flags,
                -1,
                0,
            );
            assert_ne!(base, libc::MAP_FAILED);
            let base = base.cast::<u8>();
            assert_eq!(
                libc::mprotect(
                    base.add(page).cast(),
                    page,
                    libc::PROT_READ | libc::PROT_WRITE
                ),
                0
            );
            base.add(page).write_bytes(fill, page);
            Guarded { base, page }
        }
    }

    /// All usable bytes.
    #[allow(dead_code)] // the tests that include this file by its path need less
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the middle page is mapped, initialised and borrowed with self.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(self.page), self.page) }
    }

    /// How many bytes are usable.
    #[allow(dead_code)] // as above
    pub(super) fn len(&self) -> usize {
        self.page
    }

    /// The first usable byte; the one before it faults.
    pub(super) fn start(&self) -> *mut u8 {
        self.base.wrapping_add(self.page)
    }

    /// The first byte that faults, `back` bytes earlier.
    pub(super) fn before_end(&self, back: usize) -> *mut u8 {
        self.base.wrapping_add(2 * self.page - back)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`, which nothing refers to any more.
        unsafe { libc::munmap(self.base.cast(), 3 * self.page) };
    }
}

/// The guard does guard: a child process that reads one byte past the end dies of it.
#[test]
fn touching_the_guard_page_is_fatal() {
    let memory = Guarded::new(0);
    for ptr in [memory.before_end(0), memory.start().wrapping_sub(1)] {
        // SAFETY: the child makes no call but the read, which faults, and _exit.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
                let byte = ptr.read_volatile();
                libc::_exit(i32::from(byte));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            status
        };
        assert!(libc::WIFSIGNALED(status), "the guard page can be read");
    }
}
