//! How much memory is taken: by Rust code as an allocator sees it, and by the whole process, SQLite's caches included, as
//! the kernel sees it.
#![allow(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The system's allocator. It counts only while it is asked to, so that timing is not paid for by the side that allocates.
pub(crate) struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static HELD: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

fn count(bytes: i64) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if bytes > 0 {
            PEAK.fetch_max(held, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size().cast_signed() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() as i64 - layout.size().cast_signed() as i64);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// Bytes that Rust code still holds afterwards.
    pub(crate) kept: f64,
    /// The most it held at a time.
    pub(crate) peak: f64,
    /// The most the whole process held at a time, as pages of memory; `None` if the kernel does not say.
    pub(crate) resident_peak: Option<f64>,
}

/// Does the work and counts. One at a time.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (Taken, T) {
    // Writing 5 there resets the peak that the kernel remembers.
    let is_reset = fs::write("/proc/self/clear_refs", "5").is_ok();
    HELD.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    IS_COUNTING.store(true, Ordering::Relaxed);
    let done = work();
    IS_COUNTING.store(false, Ordering::Relaxed);
    let taken = Taken {
        kept: HELD.load(Ordering::Relaxed) as f64,
        peak: PEAK.load(Ordering::Relaxed) as f64,
        resident_peak: resident_peak().filter(|_| is_reset),
    };
    (taken, done)
}

fn resident_peak() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024.0)
}
