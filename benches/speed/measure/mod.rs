//! The measures, by their numbers in the table.

use std::cell::RefCell;

use crate::arguments::Arguments;
use crate::database::{Database, Shelf};
use crate::growth_picture::Curve;
use crate::table::Row;

mod check;
mod command;
mod growth;
mod late;
mod lookup;
mod opening;
mod rebuild;
mod taking;

/// What the measures of one run share.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) shelf: &'a Shelf,
    pub(crate) database: &'a Database,
    /// For the picture.
    pub(crate) curves: RefCell<Vec<Curve>>,
}

/// Some measures: their numbers, what they are about, and how they are made.
type Measure = (&'static [u32], &'static str, fn(&Run<'_>) -> Vec<Row>);

/// First those that add nothing to the databases, or little.
pub(crate) const ALL: &[Measure] = &[
    (&[1, 2, 3], "the index in memory", lookup::rows),
    (&[4], "questions to the file", check::rows),
    (&[8], "opening", opening::rows),
    (&[11], "the command", command::rows),
    (&[7, 10], "everything anew", rebuild::rows),
    (&[5], "batches", taking::batches),
    (&[6], "one by one", taking::single),
    (&[9], "late events", late::rows),
    (&[12], "growth", growth::rows),
];
