//! Waking a thread where it can run at once.
//!
//! Linux wakes a thread preferably on the CPU of whoever wakes it, unless it
//! knows of an idle one. In a virtual machine it seems to know of none when all
//! others have been idle for a while, as if a halted virtual CPU were taken away by
//! the host. The worker then waits on the caller's CPU for as long as the caller
//! computes, which is milliseconds during which a second thread is worth
//! nothing. So the caller forbids the sleeping worker its own CPU, and the worker, once awake,
//! takes back the CPUs that it had. Where that is not possible nothing is lost
//! but time. Other systems are not known to need it.

#[cfg(target_os = "linux")]
pub(super) use linux::{Affinity, ThreadId};

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{Affinity, ThreadId};

#[cfg(target_os = "linux")]
mod linux {
    use libc::{cpu_set_t, pid_t, sched_getaffinity, sched_setaffinity};

    #[derive(Clone, Copy)]
    pub(in super::super) struct ThreadId(pid_t);

    impl ThreadId {
        pub(in super::super) fn current() -> ThreadId {
            // SAFETY: takes nothing and cannot fail.
            ThreadId(unsafe { libc::gettid() })
        }
    }

    /// The CPUs that a thread may run on.
    #[derive(Default)]
    pub(in super::super) struct Affinity {
        /// `None` when the system did not tell, as with more CPUs than a set holds.
        cpus: Option<cpu_set_t>,
        narrowed: bool,
    }

    impl Affinity {
        pub(in super::super) fn of(thread: ThreadId) -> Affinity {
            // SAFETY: a set of CPUs is an array of integers.
            let mut cpus: cpu_set_t = unsafe { std::mem::zeroed() };
            // SAFETY: writes no more than the size of the set.
            let status = unsafe { sched_getaffinity(thread.0, size_of::<cpu_set_t>(), &mut cpus) };
            Affinity {
                cpus: (status == 0).then_some(cpus),
                narrowed: false,
            }
        }

        /// Lets `thread`, whose CPUs these are, run on any of them but the caller's.
        pub(in super::super) fn avoid_this_cpu(&mut self, thread: ThreadId) {
            let Some(mut others) = self.cpus else { return };
            // SAFETY: takes nothing; -1 where the system cannot tell.
            let Ok(this) = usize::try_from(unsafe { libc::sched_getcpu() }) else {
                return;
            };
            if this >= libc::CPU_SETSIZE as usize {
                return;
            }
            // SAFETY: `this` is an index of the set.
            unsafe { libc::CPU_CLR(this, &mut others) };
            // SAFETY: reads the set.
            if unsafe { libc::CPU_COUNT(&others) } > 0 {
                self.narrowed = set(thread, &others);
            }
        }

        /// Undoes [`avoid_this_cpu`](Affinity::avoid_this_cpu), for the calling thread.
        pub(in super::super) fn restore(&mut self) {
            if let (true, Some(cpus)) = (self.narrowed, &self.cpus) {
                set(ThreadId(0), cpus);
            }
        }
    }

    fn set(thread: ThreadId, cpus: &cpu_set_t) -> bool {
        // SAFETY: reads the set.
        unsafe { sched_setaffinity(thread.0, size_of::<cpu_set_t>(), cpus) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    #[derive(Clone, Copy)]
    pub(in super::super) struct ThreadId;

    impl ThreadId {
        pub(in super::super) fn current() -> ThreadId {
            ThreadId
        }
    }

    #[derive(Default)]
    pub(in super::super) struct Affinity;

    impl Affinity {
        pub(in super::super) fn of(_: ThreadId) -> Affinity {
            Affinity
        }
        pub(in super::super) fn avoid_this_cpu(&mut self, _: ThreadId) {}
        pub(in super::super) fn restore(&mut self) {}
    }
}
