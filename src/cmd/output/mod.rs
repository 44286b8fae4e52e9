//! What goes to the terminal and into pipes: progress bars, events, errors, the log, and facts as text.

pub(crate) mod board;
pub(crate) mod log;
pub(crate) mod show;
pub(crate) mod show_plan;
pub(crate) mod show_run;
pub(crate) mod show_settings;
pub(crate) mod show_story;
pub(crate) mod show_task;
pub(crate) mod track;
pub(crate) mod ui;
