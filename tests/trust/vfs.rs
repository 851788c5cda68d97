//! A layer between SQLite and the disk: it records what is written and synchronised, and fails where it is told to.
//!
//! It is the default file system of SQLite in this process, and hands everything on to the real one. Only files below a
//! folder that a [`Disk`] was put over are looked at, so harnesses that run at the same time do not disturb each other.
#![allow(
    unsafe_code,
    reason = "what stands between SQLite and the disk speaks its C interface"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tenure::rusqlite::ffi;

use crate::disk::{Disk, Done, Met, Point};

/// The folders that a disk was put over.
static DISKS: Mutex<BTreeMap<PathBuf, Arc<Disk>>> = Mutex::new(BTreeMap::new());

/// Puts a disk over a folder until it is dropped.
pub(crate) struct Mounted {
    folder: PathBuf,
    disk: Arc<Disk>,
}

impl Mounted {
    pub(crate) fn over(folder: &Path) -> Self {
        install();
        let folder = folder.canonicalize().unwrap();
        let disk = Arc::new(Disk::default());
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            disk.holds(&name, entry.metadata().unwrap().len());
        }
        disks().insert(folder.clone(), Arc::clone(&disk));
        Self { folder, disk }
    }
}

impl std::ops::Deref for Mounted {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.disk
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        disks().remove(&self.folder);
    }
}

fn disks() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Disk>>> {
    DISKS.lock().unwrap()
}

/// The disk over the folder of a file, and the file's name.
fn found(name: *const c_char) -> Option<(Arc<Disk>, String)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite hands over a C string.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    let path = Path::new(OsStr::from_bytes(bytes));
    let disk = disks().get(path.parent()?).cloned()?;
    Some((disk, path.file_name()?.to_str()?.to_owned()))
}

/// The address of the real file system.
static REAL: OnceLock<usize> = OnceLock::new();

fn real() -> *mut ffi::sqlite3_vfs {
    *REAL.get().expect("the layer is installed") as *mut ffi::sqlite3_vfs
}

/// Makes the layer the default file system, once.
fn install() {
    REAL.get_or_init(|| {
        // SAFETY: the real file system is never unregistered, and the layer is never freed.
        unsafe {
            let real = ffi::sqlite3_vfs_find(null());
            assert!(!real.is_null(), "SQLite has a file system");
            let layer = Box::leak(Box::new(*real));
            layer.szOsFile += c_int::try_from(HEAD).unwrap();
            layer.pNext = null_mut();
            layer.zName = c"layer".as_ptr();
            layer.xOpen = Some(open);
            layer.xDelete = Some(delete);
            layer.xAccess = Some(access);
            // Its other functions do not look at the file system they are called for.
            assert_eq!(ffi::sqlite3_vfs_register(layer, 1), ffi::SQLITE_OK);
            real as usize
        }
    });
}

/// An open file; the real one lies behind it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    disk: *const Disk,
    number: usize,
}

const HEAD: usize = size_of::<File>();

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// Calls a method of the real file.
macro_rules! onward {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let real = behind($file);
        // SAFETY: the real file was opened, and SQLite calls with what its interface asks for.
        unsafe { ((*(*real).pMethods).$method.unwrap())(real $(, $argument)*) }
    }};
}

fn behind(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    file.cast::<u8>().wrapping_add(HEAD).cast()
}

fn of<'a>(file: *mut ffi::sqlite3_file) -> (&'a Disk, usize) {
    // SAFETY: only files that `open` has filled have these methods; each holds its disk until it is closed.
    unsafe {
        let file = file.cast::<File>();
        (&*(*file).disk, (*file).number)
    }
}

unsafe extern "C" fn open(
    _layer: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let real = real();
    // SAFETY: the function of the real file system, called as SQLite calls it.
    let open_real = |file| unsafe { ((*real).xOpen.unwrap())(real, name, file, flags, out) };
    let Some((disk, name)) = found(name) else {
        return open_real(file);
    };
    let file = file.cast::<File>();
    // SAFETY: SQLite gives room for the size that was asked for.
    unsafe { (*file).base.pMethods = null() };
    let is_new = flags & ffi::SQLITE_OPEN_CREATE != 0 && !disk.has(&name);
    if let Met::Fail(code) = disk.meet(if is_new { Point::Create } else { Point::Open }) {
        return code;
    }
    let code = open_real(behind(file.cast()));
    if code != ffi::SQLITE_OK {
        return code;
    }
    let kind = flags & 0x000F_FF00;
    let syncs_folder =
        is_new && (kind == ffi::SQLITE_OPEN_WAL || kind == ffi::SQLITE_OPEN_MAIN_JOURNAL);
    let number = disk.opened(&name, syncs_folder);
    // SAFETY: as above; the disk is given back when the file is closed.
    unsafe {
        (*file).disk = Arc::into_raw(disk);
        (*file).number = number;
        (*file).base.pMethods = &raw const METHODS;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(
    _layer: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    let real = real();
    // SAFETY: as in `open`.
    let delete_real = || unsafe { ((*real).xDelete.unwrap())(real, name, sync_folder) };
    let Some((disk, name)) = found(name) else {
        return delete_real();
    };
    if let Met::Fail(code) = disk.meet(Point::Delete) {
        return code;
    }
    let code = delete_real();
    if code == ffi::SQLITE_OK {
        disk.deleted(&name, sync_folder != 0);
    }
    code
}

unsafe extern "C" fn access(
    _layer: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    if let Some((disk, _)) = found(name)
        && let Met::Fail(code) = disk.meet(Point::Access)
    {
        return code;
    }
    let real = real();
    // SAFETY: as in `open`.
    unsafe { ((*real).xAccess.unwrap())(real, name, flags, out) }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = onward!(file, xClose);
    // SAFETY: `open` has put the disk there; the file is not used after this.
    unsafe { drop(Arc::from_raw((*file.cast::<File>()).disk)) };
    code
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    match of(file).0.meet(Point::Read) {
        Met::Fail(code) => code,
        Met::Go | Met::Half(_) | Met::Pretend => onward!(file, xRead, to, length, offset),
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    let (disk, number) = of(file);
    // SAFETY: SQLite hands over that many bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length.unsigned_abs() as usize) };
    let offset_in_file = offset.unsigned_abs();
    let write_real = |length: usize| {
        let code = onward!(file, xWrite, from, c_int::try_from(length).unwrap(), offset);
        if code == ffi::SQLITE_OK {
            disk.did(|| Done::Write {
                file: number,
                offset: offset_in_file,
                bytes: bytes[..length].to_vec(),
            });
        }
        code
    };
    let end = offset_in_file + bytes.len() as u64;
    match disk.meet_write(number, end) {
        Met::Go => {
            let code = write_real(bytes.len());
            if code == ffi::SQLITE_OK {
                disk.grown(number, end);
            }
            code
        }
        Met::Fail(code) => code,
        Met::Half(code) => {
            write_real(bytes.len() / 2);
            code
        }
        Met::Pretend => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let (disk, number) = of(file);
    if let Met::Fail(code) = disk.meet(Point::Truncate) {
        return code;
    }
    let code = onward!(file, xTruncate, size);
    if code == ffi::SQLITE_OK {
        disk.truncated(number, size.unsigned_abs());
    }
    code
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let (disk, number) = of(file);
    match disk.meet(Point::Sync) {
        Met::Fail(code) => return code,
        Met::Pretend => return ffi::SQLITE_OK,
        Met::Go | Met::Half(_) => {}
    }
    let code = onward!(file, xSync, flags);
    if code == ffi::SQLITE_OK {
        disk.synchronised(number);
    }
    code
}

unsafe extern "C" fn size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    match of(file).0.meet(Point::Size) {
        Met::Fail(code) => code,
        Met::Go | Met::Half(_) | Met::Pretend => onward!(file, xFileSize, out),
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    match of(file).0.meet(Point::Lock) {
        Met::Fail(code) => code,
        Met::Go | Met::Half(_) | Met::Pretend => onward!(file, xLock, level),
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    onward!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    onward!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    what: c_int,
    argument: *mut c_void,
) -> c_int {
    if what == ffi::SQLITE_FCNTL_PRAGMA && of(file).0.is_weak() {
        // SAFETY: SQLite hands over the name and the value of a pragma as C strings; the value is its own copy.
        unsafe {
            let words = argument.cast::<*mut c_char>();
            let (name, value) = (*words.add(1), *words.add(2));
            if CStr::from_ptr(name) == c"synchronous" && !value.is_null() {
                // `1` is NORMAL.
                *value = b'1'.cast_signed() as c_char;
                *value.add(1) = 0;
            }
        }
    }
    onward!(file, xFileControl, what, argument)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    onward!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    onward!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    match of(file).0.meet(Point::Share) {
        Met::Fail(code) => code,
        Met::Go | Met::Half(_) | Met::Pretend => onward!(file, xShmMap, page, size, extend, out),
    }
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    number: c_int,
    flags: c_int,
) -> c_int {
    if flags & ffi::SQLITE_SHM_LOCK != 0
        && let Met::Fail(code) = of(file).0.meet(Point::ShareLock)
    {
        return code;
    }
    onward!(file, xShmLock, offset, number, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    onward!(file, xShmBarrier)
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    onward!(file, xShmUnmap, delete)
}

unsafe extern "C" fn fetch(
    file: *mut ffi::sqlite3_file,
    offset: i64,
    length: c_int,
    out: *mut *mut c_void,
) -> c_int {
    onward!(file, xFetch, offset, length, out)
}

unsafe extern "C" fn unfetch(
    file: *mut ffi::sqlite3_file,
    offset: i64,
    page: *mut c_void,
) -> c_int {
    onward!(file, xUnfetch, offset, page)
}
