//! What the image tests share: the fixtures' inputs and hashes, memory that ends at
//! a page nobody may touch, and views of it.

#![allow(dead_code)]

use omma::tensor::{Element, View, ViewMut};
use std::ops::{Deref, DerefMut};

/// 64 bits for sample `i` of the image with a seed: see `fixtures/image.py`.
fn mix(i: usize, seed: u64) -> u64 {
    let z = (i as u64 + 1)
        .wrapping_add(seed << 32)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (z ^ (z >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// Samples that images are made of.
pub trait Noise: omma::image::Sample + PartialEq + std::fmt::Debug + Default + Into<f64> {
    fn noise(len: usize, seed: u64) -> Vec<Self>;
    fn bytes(samples: &[Self]) -> Vec<u8>;
}

impl Noise for u8 {
    fn noise(len: usize, seed: u64) -> Vec<u8> {
        (0..len).map(|i| (mix(i, seed) >> 56) as u8).collect()
    }
    fn bytes(samples: &[u8]) -> Vec<u8> {
        samples.to_vec()
    }
}

impl Noise for f32 {
    fn noise(len: usize, seed: u64) -> Vec<f32> {
        let float = |i| (mix(i, seed) >> 40) as f32 / (1u64 << 24) as f32;
        (0..len).map(float).collect()
    }
    fn bytes(samples: &[f32]) -> Vec<u8> {
        samples.iter().flat_map(|v| v.to_le_bytes()).collect()
    }
}

/// CRC-32 as zlib computes it.
pub fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|i| (0..8).fold(i, |c, _| (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg())))
        .collect();
    !bytes
        .iter()
        .fold(!0, |c, &b| table[(c as u8 ^ b) as usize] ^ (c >> 8))
}

/// The lines of a fixture, split at spaces.
pub fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(' ').collect())
}

/// The first numbers of a line.
pub fn numbers<const N: usize>(words: &[&str]) -> [usize; N] {
    std::array::from_fn(|i| words[i].parse().unwrap())
}

/// Elements whose memory begins right after, or ends right before, a page that faults.
pub struct Guarded<T> {
    map: *mut libc::c_void,
    size: usize,
    start: *mut T,
    len: usize,
}

impl<T: Element> Guarded<T> {
    /// `len` zeros, against the page behind them or the one before them.
    pub fn new(len: usize, behind: bool) -> Guarded<T> {
        const PAGE: usize = 1 << 16;
        let bytes = (len * size_of::<T>()).next_multiple_of(PAGE).max(PAGE);
        let size = bytes + 2 * PAGE;
        // SAFETY: fresh anonymous memory; the pages at both ends become inaccessible.
        unsafe {
            let map = libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(map, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(map, PAGE, libc::PROT_NONE), 0);
            let end = map.cast::<u8>().add(size - PAGE);
            assert_eq!(libc::mprotect(end.cast(), PAGE, libc::PROT_NONE), 0);
            let start = match behind {
                true => end.sub(len * size_of::<T>()),
                false => map.cast::<u8>().add(PAGE),
            };
            Guarded {
                map,
                size,
                start: start.cast(),
                len,
            }
        }
    }
}

impl<T> Deref for Guarded<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: inside of the accessible part, zeroed by the system.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and owned.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`.
        unsafe { libc::munmap(self.map, self.size) };
    }
}

/// A compact view.
pub fn view<'a, T: Element>(data: &'a [T], shape: &[usize]) -> View<'a, T> {
    View::new(data, shape).unwrap()
}

/// A compact view to write.
pub fn view_mut<'a, T: Element>(data: &'a mut [T], shape: &[usize]) -> ViewMut<'a, T> {
    ViewMut::new(data, shape).unwrap()
}

/// The same, or at most `tolerance` apart, or both NaN.
pub fn close(a: f32, b: f32, tolerance: f32) -> bool {
    a == b || (a - b).abs() <= tolerance || (a.is_nan() && b.is_nan())
}
