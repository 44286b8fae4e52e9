//! A task's JSON: objects read key by key, of which nothing that stands there is passed over in silence, and values that know
//! where they stand.

use std::{cell::RefCell, collections::BTreeSet, fmt, rc::Rc};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::pipeline::types::video::{Fps, Size};

const UNKNOWN: &str = "no key that wanctl knows";

/// A key that changes nothing here, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    pub place: String,
    pub reason: String,
}

impl Ignored {
    pub(super) fn is_unknown(&self) -> bool {
        self.reason == UNKNOWN
    }
}

/// An object's keys. Those that nobody asks for are listed when the reading ends.
#[derive(Debug, Clone)]
pub(super) struct JsonObject {
    place: String,
    object: Map<String, Value>,
    asked: Rc<RefCell<BTreeSet<String>>>,
    notes: Rc<RefCell<Notes>>,
}

impl JsonObject {
    pub(super) fn new(place: &str, object: Map<String, Value>, notes: &Rc<RefCell<Notes>>) -> Self {
        Self { place: place.into(), object, asked: Rc::default(), notes: Rc::clone(notes) }
    }

    pub(super) fn place(&self, key: &str) -> String {
        if self.place.is_empty() { key.into() } else { format!("{}.{key}", self.place) }
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.object.keys().cloned().collect()
    }

    /// What stands at a key. An explicit null is as good as nothing.
    pub(super) fn at(&self, key: &str) -> Option<JsonValueAt> {
        self.asked.borrow_mut().insert(key.into());
        let value = self.object.get(key).filter(|value| !value.is_null())?;
        Some(JsonValueAt::new(&self.place(key), value.clone(), &self.notes))
    }

    pub(super) fn read<T>(&self, key: &str, kind: impl FnOnce(&JsonValueAt) -> Option<T>) -> Option<T> {
        kind(&self.at(key)?)
    }

    /// The same for a key that a task cannot be without.
    pub(super) fn need<T>(&self, key: &str, wanted: &str, kind: impl FnOnce(&JsonValueAt) -> Option<T>) -> Option<T> {
        match self.at(key) {
            Some(spot) => kind(&spot),
            None => self.lacks(key, wanted),
        }
    }

    pub(super) fn lacks<T>(&self, key: &str, wanted: &str) -> Option<T> {
        let wrong = WrongValue { place: self.place(key), wanted: wanted.into(), found: "nothing".into() };
        self.notes.borrow_mut().wrong.push(wrong);
        None
    }

    /// Whether the key is there and null.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(Value::is_null)
    }

    /// Lists what nobody has asked for; `reasons` has the keys that are known to mean nothing here.
    pub(super) fn finish(&self, reasons: &[(&str, &str)]) {
        let asked = self.asked.borrow();
        for (key, _) in self.object.iter().filter(|(key, value)| !value.is_null() && !asked.contains(*key)) {
            let known = reasons.iter().find(|(known, _)| known == key);
            let reason = known.map_or(UNKNOWN.into(), |(_, reason)| (*reason).to_owned());
            self.notes.borrow_mut().ignored.push(Ignored { place: self.place(key), reason });
        }
    }
}

/// What the first of several places says; the others are compared with it.
pub(super) fn first<T: PartialEq>(
    places: &[(&JsonObject, &str)],
    kind: impl Fn(&JsonValueAt) -> Option<T>,
) -> Option<T> {
    let mut said = places.iter().filter_map(|(fields, key)| {
        let spot = fields.at(key)?;
        Some((kind(&spot)?, spot))
    });
    let (value, from) = said.next()?;
    for (other, spot) in said {
        if other != value {
            let (one, two) = (shown(&from.value()), shown(&spot.value()));
            let conflict = format!("{} says {one} and {} says {two}: the first counts", from.place(), spot.place());
            places[0].0.notes.borrow_mut().conflicts.push(conflict);
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::types::video::Fps;

    fn fields(value: Value) -> JsonObject {
        JsonValueAt::new("params", value, &Rc::default()).fields().unwrap()
    }

    fn wrong(fields: &JsonObject) -> Vec<String> {
        fields.notes.borrow().wrong.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_null_is_absent_and_a_zero_is_a_value() {
        let fields = fields(json!({ "a": null, "b": 0, "c": "0", "d": 0.0 }));
        assert_eq!(fields.read("a", JsonValueAt::whole), None);
        assert_eq!(["b", "c", "d"].map(|key| fields.read(key, JsonValueAt::whole)), [Some(0); 3]);
        assert_eq!(fields.need("a", "a number", JsonValueAt::whole), None);
        assert_eq!(wrong(&fields), ["params.a: wanted a number, found nothing"]);
    }

    #[test]
    fn numbers_as_text_are_numbers_where_nothing_else_can_be_meant() {
        let fields = fields(json!({ "n": "8", "f": "1.5", "i": " -1 ", "t": "true", "r": "30000/1001" }));
        assert_eq!(fields.read("n", JsonValueAt::whole), Some(8));
        assert_eq!(fields.read("f", JsonValueAt::number), Some(1.5));
        assert_eq!(fields.read("i", JsonValueAt::integer), Some(-1));
        assert_eq!(fields.read("t", JsonValueAt::truth), Some(true));
        assert_eq!(fields.read("r", JsonValueAt::rate), Fps::new(30000, 1001));
        assert_eq!(wrong(&fields), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_all_at_once() {
        let fields = fields(json!({
            "n": "abc", "m": -1, "f": "inf", "b": 1, "s": [902, "508"], "r": 0, "l": 3, "t": {"a": 1}, "o": "{",
            "deep": [1, "x"],
        }));
        fields.read("n", JsonValueAt::whole);
        fields.read("m", JsonValueAt::whole);
        fields.read("f", JsonValueAt::number);
        fields.read("b", JsonValueAt::truth);
        fields.read("s", JsonValueAt::size);
        fields.read("r", JsonValueAt::rate);
        fields.read("l", JsonValueAt::list);
        fields.read("t", JsonValueAt::text);
        fields.read("o", JsonValueAt::fields);
        fields.read("deep", JsonValueAt::wholes);
        assert_eq!(
            wrong(&fields),
            [
                "params.n: wanted a whole number, found \"abc\"",
                "params.m: wanted a whole number, found -1",
                "params.f: wanted a number, found \"inf\"",
                "params.b: wanted true or false, found 1",
                "params.s: wanted a size such as \"902x508\" or [902, 508], found [902,\"508\"]",
                "params.r: wanted frames per second, 0.1 to 1000, found 0",
                "params.l: wanted a list, found 3",
                "params.t: wanted text, found an object of 1 keys",
                "params.o: wanted an object, found \"{\"",
                "params.deep[1]: wanted a whole number, found \"x\"",
            ]
        );
    }

    #[test]
    fn keys_that_nobody_asked_for_are_listed_with_a_reason() {
        let fields = fields(json!({ "used": 1, "priority": 0, "colour": "red", "empty": null }));
        fields.read("used", JsonValueAt::whole);
        fields.finish(&[("priority", "the worker's queue")]);
        let notes = fields.notes.borrow();
        let listed: Vec<_> = notes.ignored.iter().map(|key| (key.place.as_str(), key.reason.as_str())).collect();
        assert_eq!(listed, [("params.priority", "the worker's queue"), ("params.colour", "no key that wanctl knows")]);
    }

    #[test]
    fn of_several_places_the_first_counts_and_the_others_are_compared() {
        let (one, two) = (fields(json!({ "n": null, "m": 1 })), fields(json!({ "n": 8, "m": 2 })));
        assert_eq!(first(&[(&one, "n"), (&two, "n")], JsonValueAt::whole), Some(8));
        assert_eq!(first(&[(&one, "m"), (&two, "m")], JsonValueAt::whole), Some(1));
        let conflicts = one.notes.borrow().conflicts.clone();
        assert_eq!(conflicts, ["params.m says 1 and params.m says 2: the first counts"]);
    }
}

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

    /// The same for what another module has found below here.
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

    /// The value itself, for a module that has its own way of reading it.
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
