//! Tails on the tiers without masked memory operations: up to four elements,
//! by the powers of two in their count. Spelled out, because a loop over the
//! count is compiled to a call of `memcpy`.

/// The first `count` elements (at most four), then zeros.
///
/// # Safety
/// `ptr` is valid for reading `min(count, 4)` elements; no alignment is needed.
#[inline(always)]
pub(super) unsafe fn load<T: Copy + Default>(ptr: *const T, count: usize) -> [T; 4] {
    let zero = T::default();
    // SAFETY: each arm reads as many elements as its count.
    unsafe {
        let pair = |at: usize| ptr.add(at).cast::<[T; 2]>().read_unaligned();
        match count {
            0 => [zero; 4],
            1 => [ptr.read_unaligned(), zero, zero, zero],
            2 => {
                let [a, b] = pair(0);
                [a, b, zero, zero]
            }
            3 => {
                let [a, b] = pair(0);
                [a, b, ptr.add(2).read_unaligned(), zero]
            }
            _ => ptr.cast::<[T; 4]>().read_unaligned(),
        }
    }
}

/// Writes the first `count` elements (at most four).
///
/// # Safety
/// `ptr` is valid for writing `min(count, 4)` elements; no alignment is needed.
#[inline(always)]
pub(super) unsafe fn store<T: Copy>(ptr: *mut T, count: usize, lanes: [T; 4]) {
    let [a, b, c, _] = lanes;
    // SAFETY: each arm writes as many elements as its count.
    unsafe {
        match count {
            0 => {}
            1 => ptr.write_unaligned(a),
            2 => ptr.cast::<[T; 2]>().write_unaligned([a, b]),
            3 => {
                ptr.cast::<[T; 2]>().write_unaligned([a, b]);
                ptr.add(2).write_unaligned(c);
            }
            _ => ptr.cast::<[T; 4]>().write_unaligned(lanes),
        }
    }
}
