//! How a run can end: the codes of the contract, and what every error of ours can tell about itself.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::progress::Stage;

/// Why a run ended. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorCode {
    Usage,
    Input,
    Weights,
    Memory,
    Media,
    Disk,
    Engine,
    Timeout,
    Interrupted,
}

impl ErrorCode {
    pub fn exit(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Input => 3,
            Self::Weights => 4,
            Self::Memory => 5,
            Self::Media => 7,
            Self::Disk => 8,
            Self::Engine => 9,
            Self::Timeout => 10,
            Self::Interrupted => 130,
        }
    }
}

/// What an error knows beyond its message. Whatever it does not know is left out of the report.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The command line of a child that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The end of what that child said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// An error that can be reported: every module's error type is one.
pub trait Reportable: std::error::Error {
    fn code(&self) -> ErrorCode;
    fn details(&self) -> ErrorDetails;
}

/// The error object of the contract.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorReport {
    pub code: ErrorCode,
    pub exit: u8,
    pub stage: Stage,
    pub message: String,
    #[serde(flatten)]
    pub details: ErrorDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_folder: Option<String>,
}

impl ErrorReport {
    /// Of an error that came in this stage.
    pub fn new(error: &impl Reportable, stage: Stage) -> Self {
        let code = error.code();
        let (message, details) = (message_of(error), error.details());
        Self { code, exit: code.exit(), stage, message, details, run_folder: None }
    }

    /// Of what refuses nothing: without a code, since none is ended with.
    pub fn remark(&self) -> Value {
        let mut remark = json!(self.details);
        remark["message"] = self.message.clone().into();
        remark
    }
}

/// The whole message of an error: contexts first, the cause last, joined by colons.
pub fn message_of(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = vec![];
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        next = error.source();
        // Errors that show their source in their own text would say it twice.
        if !parts.last().is_some_and(|last| last.ends_with(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
