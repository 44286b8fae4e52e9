//! A task that is being read: what its family's file has understood so far.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use super::{Ignored, Role, TaskFile, era::Era, json::Notes};
use crate::pipeline::options::{FilmOptions, Options};

#[derive(Debug)]
pub(super) struct Draft {
    pub(super) era: Era,
    pub(super) values: Options,
    pub(super) film: FilmOptions,
    pub(super) preset: Option<String>,
    pub(super) inputs: Vec<TaskFile>,
    pub(super) differs: Vec<Ignored>,
    pub(super) by_a_model: Vec<String>,
    pub(super) cannot: Vec<String>,
    pub(super) faults: BTreeSet<&'static str>,
    pub(super) has_phase_config: bool,
    pub(super) notes: Rc<RefCell<Notes>>,
}

impl Draft {
    pub(super) fn new(era: Era, notes: &Rc<RefCell<Notes>>) -> Self {
        Self {
            era,
            values: Options::default(),
            film: FilmOptions::default(),
            preset: None,
            inputs: vec![],
            differs: vec![],
            by_a_model: vec![],
            cannot: vec![],
            faults: BTreeSet::new(),
            has_phase_config: false,
            notes: Rc::clone(notes),
        }
    }

    pub(super) fn input(&mut self, role: Role, place: String, address: String) {
        self.inputs.push(TaskFile::new(role, place, address));
    }

    pub(super) fn meets(&mut self, fault: &'static str) {
        self.faults.insert(fault);
    }

    pub(super) fn differs(&mut self, place: String, reason: &str) {
        self.differs.push(Ignored { place, reason: reason.into() });
    }

    pub(super) fn conflict(&mut self, conflict: String) {
        self.notes.borrow_mut().conflicts.push(conflict);
    }

    pub(super) fn cannot(&mut self, place: &str, why: &str) {
        self.cannot.push(format!("{place}: {why}"));
    }

    pub(super) fn written_by_a_model(&mut self, place: String) {
        self.by_a_model.push(format!(
            "{place}: the prompts were written by a vision model that looked at the pictures, and none is here; \
             give --prompt or --prompts"
        ));
    }
}
