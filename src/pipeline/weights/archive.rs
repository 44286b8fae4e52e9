//! The directory of a zip archive whose entries are stored as they are, which is how torch saves: where each one lies.
//!
//! Format: PKWARE's APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.

use std::ops::Range;

const END: [u8; 4] = *b"PK\x05\x06";
const END_LENGTH: usize = 22;
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_64_LENGTH: usize = 20;
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
/// An extra field with the numbers that do not fit into 32 bits.
const EXTRA_64: u16 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) range: Range<usize>,
}

/// What is wrong is said as the end of a sentence that begins with the file's name.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    read(bytes).ok_or("is cut short or no zip archive: its directory cannot be read")?
}

/// `None` where the bytes end too early.
fn read(bytes: &[u8]) -> Option<Result<Vec<Entry>, String>> {
    let (count, mut at) = directory(bytes)?;
    let mut entries = vec![];
    for _ in 0..count {
        let head = bytes.get(at..)?.get(..ENTRY_LENGTH).filter(|head| head.starts_with(&ENTRY))?;
        let (flags, method) = (u16_at(head, 8)?, u16_at(head, 10)?);
        let [name_length, extra_length, comment_length] = [28, 30, 32].map(|at| u16_at(head, at));
        let (name_length, extra_length) = (usize::from(name_length?), usize::from(extra_length?));
        let name = bytes.get(at + ENTRY_LENGTH..)?.get(..name_length)?;
        let extra = bytes.get(at + ENTRY_LENGTH + name_length..)?.get(..extra_length)?;
        at = at.checked_add(ENTRY_LENGTH + name_length + extra_length + usize::from(comment_length?))?;

        let name = String::from_utf8_lossy(name).into_owned();
        let mut wide = wide_numbers(extra);
        let mut number = |narrow: u32| if narrow == u32::MAX { wide.next() } else { Some(narrow.into()) };
        // In this order they stand in the extra field, each only where its narrow place says so.
        let (size, packed) = (number(u32_at(head, 24)?)?, number(u32_at(head, 20)?)?);
        let local = usize::try_from(number(u32_at(head, 42)?)?).ok()?;
        if flags & 1 != 0 {
            return Some(Err(format!("is an encrypted archive: `{name}`")));
        }
        if method != 0 || size != packed {
            return Some(Err(format!("is a compressed archive, which torch does not write: `{name}`")));
        }
        let local_head = bytes.get(local..)?.get(..LOCAL_LENGTH).filter(|head| head.starts_with(&LOCAL))?;
        let gap = usize::from(u16_at(local_head, 26)?) + usize::from(u16_at(local_head, 28)?);
        let start = local.checked_add(LOCAL_LENGTH + gap)?;
        let end = start.checked_add(usize::try_from(size).ok()?).filter(|end| *end <= bytes.len())?;
        entries.push(Entry { name, range: start..end });
    }
    Some(Ok(entries))
}

/// How many entries the directory has, and where it begins.
fn directory(bytes: &[u8]) -> Option<(u64, usize)> {
    // A comment of up to 65535 bytes may stand behind it.
    let tail = bytes.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let last = bytes.len().checked_sub(END_LENGTH)?;
    let end = (tail..=last).rev().find(|at| bytes[*at..].starts_with(&END))?;
    let head = &bytes[end..];
    let (count, start) = (u16_at(head, 10)?, u32_at(head, 16)?);
    if count != u16::MAX && start != u32::MAX {
        return Some((count.into(), start as usize));
    }
    let locator = &bytes[end.checked_sub(LOCATOR_64_LENGTH)?..end];
    let end_64 = usize::try_from(u64_at(locator.strip_prefix(&LOCATOR_64)?, 4)?).ok()?;
    let head = bytes.get(end_64..)?.strip_prefix(&END_64)?;
    Some((u64_at(head, 28)?, usize::try_from(u64_at(head, 44)?).ok()?))
}

/// The numbers of the extra field for wide ones, where there is one.
fn wide_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found: &[u8] = &[];
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some((field, rest)) = extra[4..].split_at_checked(length.into()) else { break };
        if id == EXTRA_64 {
            found = field;
        }
        extra = rest;
    }
    found.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
