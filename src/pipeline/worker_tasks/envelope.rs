//! What a task comes in: a database row, `{task_type, params}`, or bare params, from a file that may be anything.

use std::{cell::RefCell, fs, path::Path, rc::Rc};

use jiff::civil::Date;
use serde_json::{Map, Value};

use super::{
    error::TaskError,
    json::{JsonObject, JsonValueAt, Notes},
    kind::Kind,
};
use crate::pipeline::system::text;

/// Tasks that carry their orchestrator's payload, and that its own, reach some hundred kB.
const MOST_BYTES: u64 = 8_000_000;

/// A task out of its envelope.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) row: Row,
    pub(super) params: JsonObject,
    pub(super) notes: Rc<RefCell<Notes>>,
}

/// What the worker's database says of a task besides what to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    pub id: Option<String>,
    #[serde(rename = "task_type")]
    pub kind: Kind,
    pub status: Option<String>,
    pub created_at: Option<String>,
    /// Why it failed, wherever the worker wrote that.
    pub error: Option<String>,
}

impl Row {
    /// The day it was made.
    pub(super) fn day(&self) -> Option<Date> {
        self.created_at.as_deref()?.get(..10)?.parse().ok()
    }
}

/// The JSON object in a file.
pub(super) fn object(path: &Path) -> Result<Map<String, Value>, TaskError> {
    let unreadable = |source| TaskError::Unreadable { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MOST_BYTES {
        return Err(TaskError::TooLarge { path: path.to_owned(), bytes });
    }
    let text = fs::read(path).map_err(unreadable)?;
    // serde_json goes 128 deep and no deeper.
    let value = text::from_json(&text);
    match value.map_err(|error| TaskError::NotJson { path: path.to_owned(), problem: error.to_string() })? {
        Value::Object(object) => Ok(object),
        other => Err(not_a_task(path, format!("it holds {}", what(&other)))),
    }
}

/// Whether a file looks like JSON: its first character that is no space opens an object or a list.
pub fn looks_like_json(path: &Path) -> bool {
    use std::io::Read;
    let mut head = vec![];
    let read = fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    read.is_ok() && text::begin(&head).trim_start().starts_with(['{', '['])
}

impl Envelope {
    pub(super) fn open(path: &Path, object: Map<String, Value>, asked: Option<Kind>) -> Result<Self, TaskError> {
        let notes = Rc::default();
        let found = object.get("task_type").filter(|found| !found.is_null());
        let kind = match (found.map(|found| found.as_str().unwrap_or_default()), asked) {
            (Some(found), Some(asked)) if found != asked.to_string() => {
                return Err(TaskError::OtherType { path: path.to_owned(), found: found.into(), asked });
            }
            (_, Some(asked)) => asked,
            (Some(found), None) => match found.parse() {
                Ok(kind) => kind,
                Err(_) => return Err(not_a_task(path, format!("its task_type is {}", object["task_type"]))),
            },
            (None, None) => return Err(not_a_task(path, "it has no task_type".into())),
        };
        if !object.contains_key("params") && found.is_some() {
            return Err(not_a_task(path, "it has a task_type and no params".into()));
        }
        let (row, params) = match object.contains_key("params") {
            true => {
                let outer = JsonValueAt::new("", Value::Object(object), &notes).fields();
                let outer = outer.expect("it is an object");
                let params = outer.need("params", "an object", JsonValueAt::fields);
                (Self::row(&outer, kind), params)
            }
            false => {
                let row = Row { id: None, kind, status: None, created_at: None, error: None };
                (row, JsonValueAt::new("params", Value::Object(object), &notes).fields())
            }
        };
        match params {
            Some(params) => Ok(Self { row, params, notes }),
            None => {
                Err(TaskError::Values { path: path.to_owned(), wrong: std::mem::take(&mut notes.borrow_mut().wrong) })
            }
        }
    }

    fn row(outer: &JsonObject, kind: Kind) -> Row {
        outer.at("task_type");
        let text = |key| outer.read(key, JsonValueAt::text);
        let status = text("status");
        // A finished task's location is its film; the worker wrote failures there too.
        let location = outer.at("output_location").filter(JsonValueAt::is_text).and_then(|location| location.text());
        let failed = status.as_deref().is_some_and(|status| status.eq_ignore_ascii_case("failed"));
        let error = text("error_message").filter(|text| !text.is_empty()).or(location.filter(|_| failed));
        let row = Row { id: text("id"), kind, status, created_at: text("created_at"), error };
        outer.finish(&ROW);
        row
    }
}

/// Columns of the worker's table that say nothing about the film.
const ROW: [(&str, &str); 12] = [
    ("worker_id", BOOKKEEPING),
    ("project_id", BOOKKEEPING),
    ("updated_at", BOOKKEEPING),
    ("generation_started_at", BOOKKEEPING),
    ("generation_processed_at", BOOKKEEPING),
    ("generation_created", BOOKKEEPING),
    ("attempts", BOOKKEEPING),
    ("dependant_on", "which task came before; name its film with --map"),
    ("result_data", BOOKKEEPING),
    ("error_details", BOOKKEEPING),
    ("copied_from_share", BOOKKEEPING),
    ("idempotency_key", BOOKKEEPING),
];

pub(super) const BOOKKEEPING: &str = "the worker's bookkeeping";

pub(super) fn not_a_task(path: &Path, found: String) -> TaskError {
    TaskError::NotATask { path: path.to_owned(), found }
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::String(_) => "a text",
        Value::Null => "nothing (null)",
        Value::Bool(_) | Value::Number(_) => "a single value",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(value: Value, asked: Option<Kind>) -> Result<Envelope, TaskError> {
        let Value::Object(object) = value else { panic!("an object") };
        Envelope::open(Path::new("task.json"), object, asked)
    }

    #[test]
    fn a_row_a_pair_and_bare_params_are_the_same_task() {
        let params = json!({ "seed": 7 });
        for (task, asked) in [
            (json!({ "id": "4ef4789d", "task_type": "join_clips", "params": params, "status": null }), None),
            (json!({ "task_type": "join_clips", "params": params.to_string() }), None),
            (json!({ "params": params }), Some(Kind::JoinClips)),
            (params, Some(Kind::JoinClips)),
        ] {
            let task = open(task, asked).unwrap();
            assert_eq!((task.row.kind, task.params.read("seed", JsonValueAt::integer)), (Kind::JoinClips, Some(7)));
        }
    }

    #[test]
    fn the_failure_is_found_wherever_the_worker_wrote_it() {
        let row = |status: &str, message: Value| {
            let row = json!({ "task_type": "join_clips", "status": status, "error_message": message,
                "output_location": "place", "params": {}, "created_at": "2025-10-10T17:36:03.045+00:00" });
            open(row, None).unwrap().row
        };
        assert_eq!(row("Failed", Value::Null).error.as_deref(), Some("place"));
        assert_eq!(row("FAILED", "it broke".into()).error.as_deref(), Some("it broke"));
        assert_eq!(row("Complete", Value::Null).error, None);
        assert_eq!(row("Failed", Value::Null).day(), Some(jiff::civil::date(2025, 10, 10)));
    }

    #[test]
    fn what_is_no_task_is_told_apart() {
        for (task, asked, words) in [
            (json!({}), None, "it has no task_type"),
            (json!({ "task_type": "join_clip", "params": {} }), None, "its task_type is \"join_clip\""),
            (json!({ "task_type": 3, "params": {} }), None, "its task_type is 3"),
            (json!({ "task_type": "join_clips" }), None, "a task_type and no params"),
            (json!({ "task_type": "join_clips", "params": 3 }), None, "params: wanted an object, found 3"),
            (json!({ "task_type": "join_clips", "params": "{" }), None, "params: wanted an object, found \"{\""),
            (json!({ "task_type": "join_clips", "params": {} }), Some(Kind::Inpaint), "--task-type inpaint_frames"),
        ] {
            let error = open(task, asked).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
