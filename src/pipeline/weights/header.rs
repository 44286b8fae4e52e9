//! The header of a safetensors file: which tensors lie where, held against the file's length before any is touched.

use std::{collections::BTreeMap, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::dtype::Dtype;

/// As the format's own reader has it: no real header comes near.
const LONGEST: u64 = 100_000_000;

/// A tensor as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Place,
}

/// Where the bytes of a tensor are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the file.
    There(Range<usize>),
    /// In the file they stand in another order.
    Here(Vec<u8>),
}

impl Place {
    pub(super) fn of<'a>(&'a self, file: &'a [u8]) -> &'a [u8] {
        match self {
            Self::There(range) => &file[range.clone()],
            Self::Here(bytes) => bytes,
        }
    }

    pub(super) fn part(&self, part: Range<usize>) -> Self {
        match self {
            Self::There(range) => Self::There(range.start + part.start..range.start + part.end),
            Self::Here(bytes) => Self::Here(bytes[part].to_vec()),
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) tensors: Vec<Stored>,
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The entries in their order: a JSON object that names one twice must not hide the first.
#[derive(Default)]
struct Entries {
    tensors: Vec<(String, Info)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Entries::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        entries.metadata = map.next_value()?;
                    } else {
                        let info = map.next_value().map_err(|error| {
                            de::Error::custom(format_args!("its tensor `{name}` is described wrongly, {error}"))
                        })?;
                        entries.tensors.push((name, info));
                    }
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// What is wrong is said as the end of a sentence that begins with the file's name.
pub(super) fn read(bytes: &[u8]) -> Result<Header, String> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("is too short for a safetensors file: {} bytes", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > LONGEST {
        return Err(format!("is no safetensors file: its header would be {length} bytes long"));
    }
    let Some((text, data)) = rest.split_at_checked(length as usize) else {
        return Err(format!("is cut short: its header is {length} bytes long and {} are there", rest.len()));
    };
    let entries: Entries = serde_json::from_slice(text)
        .map_err(|error| format!("is no safetensors file: its header is no JSON: {error}"))?;
    let start = 8 + text.len();
    let (mut tensors, mut places) = (Vec::with_capacity(entries.tensors.len()), vec![]);
    for (name, Info { dtype, shape, data_offsets: (begin, end) }) in entries.tensors {
        let Some(dtype) = Dtype::of_safetensors(&dtype) else {
            return Err(format!("holds tensor `{name}` of type {dtype}, which wanctl does not know"));
        };
        let bytes = dtype.bytes_of(&shape);
        if begin > end || bytes != Some(end - begin) {
            return Err(format!(
                "has a broken header: `{name}` of {shape:?} {dtype} cannot lie in bytes {begin}..{end}"
            ));
        }
        if end > data.len() {
            return Err(format!("is cut short: `{name}` ends at byte {end} of the data and {} are there", data.len()));
        }
        places.push((name.clone(), start + begin..start + end));
        tensors.push(Stored { name, dtype, shape, bytes: Place::There(start + begin..start + end) });
    }
    check_tiling(places, start, bytes.len())?;
    Ok(Header { tensors, metadata: entries.metadata })
}

/// As the format has it: the tensors fill the data one after the other, each byte belongs to one of them.
fn check_tiling(mut places: Vec<(String, Range<usize>)>, start: usize, end: usize) -> Result<(), String> {
    places.sort_by_key(|(_, place)| (place.start, place.end));
    let mut at = start;
    for (name, place) in &places {
        if place.start != at {
            let what = if place.start < at { "overlaps the tensor before it" } else { "has a hole before it" };
            return Err(format!("has a broken header: `{name}` {what}"));
        }
        at = place.end;
    }
    if at != end {
        return Err(format!("has {} bytes after its last tensor", end - at));
    }
    places.sort_by(|(a, _), (b, _)| a.cmp(b));
    match places.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("has a broken header: it names `{}` twice", pair[0].0)),
        None => Ok(()),
    }
}
