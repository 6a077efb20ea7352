//! What is packed in an archive. Source: PKWARE's APPNOTE 6.3.10, sections 4.3.12 and 4.3.16.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// What an archive begins with,
const BEGIN: [u8; 4] = *b"PK\x03\x04";
/// what each entry of its table of contents begins with,
const ENTRY: [u8; 4] = *b"PK\x01\x02";
/// and what tells at its end where that table is.
const END: [u8; 4] = *b"PK\x05\x06";
/// The longest end: it may have a comment.
const LONGEST_END: u64 = 22 + 0xffff;
/// The longest table that is read.
const LONGEST_TABLE: u64 = 1 << 20;

/// Whether it is an archive with a Python file at its top: only these are read. Data may lie beside DAG files as an archive, too.
/// Source: Airflow 3.3.2 `dag_processing/dagbag.py`.
pub fn packs_python(path: &Path) -> bool {
    File::open(path).and_then(|file| at_top(file, b".py")).unwrap_or(false)
}

// Whether a name that ends so is in the table, without a folder before it. A table that cannot be read may have everything in it.
fn at_top(mut file: File, ending: &[u8]) -> io::Result<bool> {
    let mut begin = [0; BEGIN.len()];
    file.read_exact(&mut begin)?;
    if begin != BEGIN {
        return Ok(false);
    }
    let length = file.metadata()?.len();
    let tail = read_at(&mut file, length.saturating_sub(LONGEST_END), LONGEST_END)?;
    let end = (0..tail.len()).rev().find_map(|at| tail[at..].strip_prefix(&END));
    let Some((size, start)) = end.and_then(|end| Some((number(end, 8)?, number(end, 12)?))) else {
        return Ok(true);
    };
    if size > LONGEST_TABLE || start + size > length {
        return Ok(true);
    }
    let table = read_at(&mut file, start, size)?;
    Ok(names(&table).any(|name| name.ends_with(ending) && !name.contains(&b'/')))
}

fn read_at(file: &mut File, start: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn names(mut table: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let entry = table.strip_prefix(&ENTRY)?;
        let (name, extra, comment) = (short(entry, 24)?, short(entry, 26)?, short(entry, 28)?);
        let (_, names) = entry.split_at_checked(42)?;
        let (name, rest) = names.split_at_checked(name)?;
        table = rest.get(extra + comment..)?;
        Some(name)
    })
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes).into())
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes).into())
}
