//! The tensors of a file that `torch.save` wrote: a zip archive of a pickle and one entry for each storage.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
};

use super::{
    archive::{self, Entry},
    header::{Place as Bytes, Stored},
    pickle::{self, PickleError, Place, Tensor, Value, Values},
};

/// What is wrong is said as the end of a sentence that begins with the file's name.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Stored>, PickleError> {
    let broken = |problem: String| PickleError::Broken(problem);
    let mut entries = archive::entries(bytes).map_err(broken)?;
    // macOS puts a shadow of every file beside it.
    entries.retain(|entry| !entry.name.starts_with("__MACOSX/"));
    let pickles: Vec<&Entry> =
        entries.iter().filter(|entry| entry.name == "data.pkl" || entry.name.ends_with("/data.pkl")).collect();
    let [pickle] = pickles[..] else {
        return Err(broken("is a zip archive, but none that torch.save wrote: it has no one data.pkl".into()));
    };
    let root = pickle.name.trim_end_matches("data.pkl");
    let places: HashMap<&str, &Entry> =
        entries.iter().filter_map(|entry| Some((entry.name.strip_prefix(root)?, entry))).collect();
    if let Some(order) = places.get("byteorder")
        && bytes[order.range.clone()] != *b"little"
    {
        return Err(broken("was saved on a big-endian machine".into()));
    }
    let values = pickle::read(&bytes[pickle.range.clone()]).map_err(|error| match error {
        PickleError::Broken(problem) => broken(format!("is no checkpoint: its pickle {problem}")),
        refused @ PickleError::Refused(_) => refused,
    })?;
    let (mut tensors, mut names) = (vec![], HashSet::new());
    // A pickle can name a view of all numbers again and again; a real one has no more numbers in views than in all.
    let mut room = bytes.len();
    for (name, tensor) in state_dict(&values).map_err(broken)? {
        if !names.insert(name) {
            return Err(broken(format!("names `{name}` twice")));
        }
        let storage = places.get(format!("data/{}", tensor.storage.key).as_str());
        let storage = storage.ok_or_else(|| broken(format!("has no numbers for `{name}`")))?;
        let reach = reach(tensor, &storage.range)
            .ok_or_else(|| broken(format!("holds a tensor that reaches beyond its numbers: `{name}`")))?;
        let place = if is_dense(tensor) {
            Bytes::There(reach)
        } else {
            let needed = tensor.dtype.bytes_of(&tensor.shape);
            room = needed
                .and_then(|needed| room.checked_sub(needed))
                .ok_or_else(|| broken(format!("holds views of more numbers than it has: `{name}`")))?;
            Bytes::Here(gathered(tensor, &bytes[reach]))
        };
        tensors.push(Stored { name: name.to_owned(), dtype: tensor.dtype, shape: tensor.shape.clone(), bytes: place });
    }
    Ok(tensors)
}

/// From the first number of a tensor to its last, in the file; `None` where it is not all there.
fn reach(tensor: &Tensor<'_>, storage: &Range<usize>) -> Option<Range<usize>> {
    let sides = || tensor.shape.iter().zip(&tensor.strides);
    let far = |reach: usize, (side, stride): (&usize, &usize)| reach.checked_add((side - 1).checked_mul(*stride)?);
    let numbers = if tensor.shape.contains(&0) { 0 } else { sides().try_fold(0_usize, far)?.checked_add(1)? };
    let size = tensor.dtype.bytes();
    let begin = storage.start.checked_add(tensor.offset.checked_mul(size)?)?;
    let end = begin.checked_add(numbers.checked_mul(size)?)?;
    (end <= storage.end).then_some(begin..end)
}

/// Whether its numbers stand in their order and without gaps. A side of one is never stepped along.
fn is_dense(tensor: &Tensor<'_>) -> bool {
    let mut dense = 1_usize;
    let sides = tensor.shape.iter().zip(&tensor.strides).rev();
    let mut steps = sides.filter(|(side, _)| **side != 1);
    tensor.shape.contains(&0)
        || steps.all(|(side, stride)| {
            let fits = *stride == dense;
            dense = dense.saturating_mul(*side);
            fits
        })
}

/// The numbers of a view in their order; `bytes` reach from its first to its last.
fn gathered(tensor: &Tensor<'_>, bytes: &[u8]) -> Vec<u8> {
    let size = tensor.dtype.bytes();
    let mut numbers = vec![0];
    for (side, stride) in tensor.shape.iter().zip(&tensor.strides) {
        numbers = numbers.into_iter().flat_map(|at: usize| (0..*side).map(move |step| at + step * stride)).collect();
    }
    numbers.into_iter().flat_map(|at| &bytes[at * size..][..size]).copied().collect()
}

/// The dict of tensors: the outermost one, or the only one below it that has any (`{"state_dict": ...}`).
fn state_dict<'a>(values: &'a Values<'a>) -> Result<Vec<(&'a str, &'a Tensor<'a>)>, String> {
    let none = || "holds no dict of tensors".to_owned();
    let outer = dict(values, values.root).ok_or_else(none)?;
    let found = tensors(values, outer);
    if !found.is_empty() {
        return Ok(found);
    }
    // One dict can stand in another a million times.
    let inner: BTreeSet<Place> = outer.iter().map(|(_, value)| *value).collect();
    let inner = inner.into_iter().filter_map(|place| dict(values, place)).map(|dict| tensors(values, dict));
    let mut inner = inner.filter(|tensors| !tensors.is_empty());
    match (inner.next(), inner.next()) {
        (Some(tensors), None) => Ok(tensors),
        (Some(_), Some(_)) => Err("holds several dicts of tensors, and which one is meant cannot be told".into()),
        (None, _) => Err(none()),
    }
}

fn dict<'a>(values: &'a Values<'a>, place: Place) -> Option<&'a [(Place, Place)]> {
    match &values[place] {
        Value::Dict(dict) => Some(dict),
        _ => None,
    }
}

fn tensors<'a>(values: &'a Values<'a>, dict: &'a [(Place, Place)]) -> Vec<(&'a str, &'a Tensor<'a>)> {
    let pair = |(key, value): &(Place, Place)| match (&values[*key], &values[*value]) {
        (Value::Word(key), Value::Tensor(tensor)) => Some((*key, tensor)),
        _ => None,
    };
    dict.iter().filter_map(pair).collect()
}
