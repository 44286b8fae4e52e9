//! A reader of pickles that can build dicts, lists, tuples, numbers, words and the places of tensors, and nothing else.
//!
//! A pickle is a program. Python's own reader calls whatever it names; this one has no way to call anything: a name
//! that is not on its list ends the reading. Opcodes: CPython 3.13, `Lib/pickletools.py`.

mod machine;

use super::dtype::Dtype;

/// A real one has a few hundred bytes for each tensor.
const LONGEST: usize = 16 << 20;
/// Values that a pickle may make: far more than any checkpoint has, and little enough to hold.
const MOST_VALUES: usize = 4 << 20;

/// A place among the values. Values refer to each other by place, so that no nesting and no sharing costs anything.
pub(super) type Place = usize;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Word(&'a str),
    Tuple(Vec<Place>),
    List(Vec<Place>),
    /// Keys and values, in order.
    Dict(Vec<(Place, Place)>),
    Callable(Callable),
    Dtype(Dtype),
    /// A storage's class: of one kind of number, or of bytes.
    Class(Option<Dtype>),
    Storage(Storage<'a>),
    Tensor(Tensor<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildTensorOfDtype,
    RebuildParameter,
    /// `torch.Size`: a tuple by another name.
    Size,
}

/// Numbers in the archive, by the name of their entry below `data/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Option<Dtype>,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) dtype: Dtype,
    /// In numbers, not bytes, as the strides.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// All that a pickle made; what it stands for is `root`.
#[derive(Debug)]
pub(super) struct Values<'a> {
    values: Vec<Value<'a>>,
    pub(super) root: Place,
}

impl<'a> std::ops::Index<Place> for Values<'a> {
    type Output = Value<'a>;

    fn index(&self, place: Place) -> &Value<'a> {
        &self.values[place]
    }
}

/// Both are said as the end of a sentence that begins with the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PickleError {
    /// It names something that a checkpoint has no business with.
    Refused(String),
    Broken(String),
}

pub(super) fn read(bytes: &[u8]) -> Result<Values<'_>, PickleError> {
    if bytes.len() > LONGEST {
        let problem = format!("is {} bytes long, more than the {LONGEST} that wanctl reads", bytes.len());
        return Err(PickleError::Broken(problem));
    }
    machine::run(bytes)
}
