//! One value of a task's JSON: read by type, and where it is of another, noted with its place.

use std::{cell::RefCell, fmt, rc::Rc};

use serde::Serialize;
use serde_json::Value;

use super::fields::{Ignored, JsonObject};
use crate::pipeline::types::video::{Fps, Size};

/// A value that is not what its place takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongValue {
    /// `params.context_frame_count`
    pub place: String,
    pub wanted: String,
    pub found: String,
}

impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, wanted, found } = self;
        write!(f, "{place}: wanted {wanted}, found {found}")
    }
}

/// What was noticed while a task was read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) wrong: Vec<WrongValue>,
    pub(super) ignored: Vec<Ignored>,
    /// Two places of the task that say different things, and which of them counts.
    pub(super) conflicts: Vec<String>,
}

/// One value and its place.
#[derive(Debug, Clone)]
pub(super) struct JsonValueAt {
    place: String,
    value: Value,
    notes: Rc<RefCell<Notes>>,
}

impl JsonValueAt {
    pub(super) fn new(place: &str, value: Value, notes: &Rc<RefCell<Notes>>) -> Self {
        Self { place: place.into(), value, notes: Rc::clone(notes) }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Notes that something else was wanted here.
    pub(super) fn wrong<T>(&self, wanted: impl Into<String>) -> Option<T> {
        let wrong = WrongValue { place: self.place.clone(), wanted: wanted.into(), found: shown(&self.value) };
        self.notes.borrow_mut().wrong.push(wrong);
        None
    }

    /// The same for what another room has found below here.
    pub(super) fn wrong_at<T>(&self, below: &str, wanted: &str, found: &str) -> Option<T> {
        let place = format!("{}{below}", self.place);
        self.notes.borrow_mut().wrong.push(WrongValue { place, wanted: wanted.into(), found: found.into() });
        None
    }

    pub(super) fn text(&self) -> Option<String> {
        match &self.value {
            Value::String(text) => Some(text.clone()),
            _ => self.wrong("text"),
        }
    }

    /// A whole number from 0 up; `8.0` and `"8"` are whole numbers too.
    pub(super) fn whole(&self) -> Option<usize> {
        match self.as_number().filter(|number| number.fract() == 0.0 && (0.0..=1e9).contains(number)) {
            Some(number) => Some(number as usize),
            None => self.wrong("a whole number"),
        }
    }

    /// A whole number of either sign.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.as_number().filter(|number| number.fract() == 0.0 && number.abs() <= 9e15) {
            Some(number) => Some(number as i64),
            None => self.wrong("a whole number"),
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        self.as_number().or_else(|| self.wrong("a number"))
    }

    fn as_number(&self) -> Option<f64> {
        let number = match &self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(truth) => Some(*truth),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => self.wrong("true or false"),
        }
    }

    /// `"902x508"` or `[902, 508]`: tasks have both.
    pub(super) fn size(&self) -> Option<Size> {
        let text = match &self.value {
            Value::String(text) => Some(text.clone()),
            Value::Array(sides) => match sides.as_slice() {
                [Value::Number(width), Value::Number(height)] => Some(format!("{width}x{height}")),
                _ => None,
            },
            _ => None,
        };
        let size = text.and_then(|text| text.parse().ok());
        size.or_else(|| self.wrong("a size such as \"902x508\" or [902, 508]"))
    }

    pub(super) fn rate(&self) -> Option<Fps> {
        let text = match &self.value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            _ => String::new(),
        };
        text.parse().ok().or_else(|| self.wrong("frames per second, 0.1 to 1000"))
    }

    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let Value::Array(values) = &self.value else { return self.wrong("a list") };
        let spot = |(index, value): (usize, &Value)| Self {
            place: format!("{}[{index}]", self.place),
            value: value.clone(),
            notes: Rc::clone(&self.notes),
        };
        Some(values.iter().enumerate().map(spot).collect())
    }

    /// One value for each segment; null says nothing of one.
    pub(super) fn of_segments(&self, segments: usize) -> Option<Vec<Option<Self>>> {
        let list = self.list()?;
        if list.len() != segments {
            self.wrong::<()>(format!("{segments} entries, one for each segment"));
        }
        Some(list.into_iter().map(|own| Some(own).filter(|own| !own.value.is_null())).collect())
    }

    pub(super) fn texts(&self) -> Option<Vec<String>> {
        // An entry that is null is an empty one.
        let text = |spot: Self| if spot.value.is_null() { Some(String::new()) } else { spot.text() };
        self.list()?.into_iter().map(text).collect()
    }

    pub(super) fn wholes(&self) -> Option<Vec<usize>> {
        self.list()?.iter().map(Self::whole).collect()
    }

    /// An object, or the JSON text of one.
    pub(super) fn fields(&self) -> Option<JsonObject> {
        let object = match &self.value {
            Value::Object(object) => Some(object.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        };
        let Some(object) = object else { return self.wrong("an object") };
        Some(JsonObject::new(&self.place, object, &self.notes))
    }

    /// The value itself, for a room that has its own way of reading it.
    pub(super) fn value(&self) -> Value {
        self.value.clone()
    }

    /// 0 in any of its forms.
    pub(super) fn is_zero(&self) -> bool {
        self.as_number() == Some(0.0)
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_string()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }
}

/// A value in few words.
pub(super) fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = match value {
        Value::Array(values) if values.len() > 4 => return format!("a list of {}", values.len()),
        Value::Object(object) => return format!("an object of {} keys", object.len()),
        value => value.to_string(),
    };
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
