//! The rows of a file: CSV as spreadsheets and other systems write it.

use std::io::Read;
use std::path::Path;

use clap::{Args, ValueEnum};
use csv::{ByteRecord, ReaderBuilder, Trim};
use tenure::{End, Instant, Subscriber};

use super::date::{Calendar, Edge};
use super::lines::Lines;
use super::mapping::{Field, Mapping, Place};
use crate::failure::Failure;
use crate::run::id;

/// How a file of subscribers is read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Which column holds what: FIELD=COLUMN, or FIELD==VALUE for what is the same in every row; separated by commas.
    /// Fields: user, product, grant, from, and until or through
    #[arg(long, value_name = "MAP", required = true)]
    pub(crate) map: Vec<String>,
    /// The product of every row, as product==P in --map
    #[arg(long, value_name = "P")]
    pub(crate) product: Option<String>,
    /// The time zone of dates, as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// How dates are written, as '%d.%m.%Y' [default: ISO 8601, as 2026-05-31]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) date_format: Option<String>,
    /// What separates columns; `tab` is one too
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    pub(crate) delimiter: String,
    /// What an empty end means
    #[arg(long, value_name = "MEANING", default_value = "refused")]
    pub(crate) empty_end: EmptyEnd,
}

/// What an empty end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmptyEnd {
    /// The row is not read
    Refused,
    /// Access without end
    Unlimited,
}

/// A row that was read, or why not.
pub(crate) struct Row {
    /// The line of the file at which it begins; the heading is the first.
    pub(crate) number: u64,
    pub(crate) read: Result<Subscriber, Rejected>,
}

/// Why a row cannot be read, or was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// The heading of the column, where it is one's fault.
    pub(crate) column: Option<String>,
    pub(crate) why: String,
}

impl Rejected {
    pub(crate) fn row(why: String) -> Self {
        Self { column: None, why }
    }
}

/// A file of subscribers as it is being read, a row at a time.
pub(crate) struct Rows<R> {
    csv: csv::Reader<Lines<R>>,
    pub(crate) delimiter: u8,
    heading: ByteRecord,
    columns: Columns,
    record: ByteRecord,
}

/// Where each field stands in a row.
struct Columns {
    user: Cell,
    product: Cell,
    grant: Option<Cell>,
    from: Option<Cell>,
    until: Option<(Cell, Edge)>,
    empty_end: EmptyEnd,
    calendar: Calendar,
}

enum Cell {
    At(usize, String),
    Constant(String),
}

impl<R: Read> Rows<R> {
    /// Reads the heading.
    pub(crate) fn open(input: R, reading: &Reading, path: &Path) -> Result<Self, Failure> {
        let delimiter = delimiter(&reading.delimiter)?;
        let mapping = Mapping::read(&reading.map, reading.product.as_deref())?;
        let calendar = Calendar::new(reading.zone.as_deref(), reading.date_format.as_deref())?;
        let mut csv = ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .has_headers(false)
            .trim(Trim::None)
            .from_reader(Lines::new(input));
        let mut heading = ByteRecord::new();
        let failed = |error: csv::Error| Failure::unreadable(path, &error.into());
        if !csv.read_byte_record(&mut heading).map_err(failed)? {
            return Err(Failure::Usage(format!(
                "`{}` is empty: it needs a row with the names of its columns",
                path.display()
            )));
        }
        let names = names(&heading, path)?;
        let columns = Columns::new(&mapping, &names, reading.empty_end, calendar, delimiter)?;
        Ok(Self {
            csv,
            delimiter,
            heading,
            columns,
            record: ByteRecord::new(),
        })
    }

    /// The next row that is not blank.
    pub(crate) fn next(&mut self, path: &Path) -> Result<Option<Row>, Failure> {
        loop {
            let more = self.csv.read_byte_record(&mut self.record);
            if !more.map_err(|error| Failure::unreadable(path, &error.into()))? {
                return Ok(None);
            }
            if self.record.iter().all(|cell| cell.trim_ascii().is_empty()) {
                continue;
            }
            let number = self.begin();
            let read = if self.swallows_rows() {
                Err(Rejected::row(
                    "a text goes over several lines and holds as many separators as a row: a quote seems to be missing"
                        .to_owned(),
                ))
            } else {
                self.columns.subscriber(&self.record, self.heading.len())
            };
            return Ok(Some(Row { number, read }));
        }
    }

    /// A quote that is not closed takes the rows that follow into its cell, whichever column it stands in: the cell then
    /// holds at least the separators of a row.
    fn swallows_rows(&self) -> bool {
        let separators = |cell: &[u8]| cell.iter().filter(|byte| **byte == self.delimiter).count();
        let swallows = |cell: &[u8]| {
            cell.contains(&b'\n') && separators(cell) >= self.heading.len().saturating_sub(1).max(1)
        };
        self.record.iter().any(swallows)
    }

    /// The line at which the last row begins. The reader stands at the line after it.
    fn begin(&self) -> u64 {
        let breaks = |cell: &[u8]| cell.iter().filter(|byte| **byte == b'\n').count();
        let inside: usize = self.record.iter().map(breaks).sum();
        let after = self.csv.position().line();
        // A row that took the end of the file to end has a quote that is not closed, and its last break is inside.
        let own = u64::from(!self.csv.get_ref().has_ended);
        let lines = u64::try_from(inside).unwrap_or(u64::MAX);
        after.saturating_sub(lines.saturating_add(own))
    }

    /// The row as it stands in the file.
    pub(crate) fn record(&self) -> &ByteRecord {
        &self.record
    }

    pub(crate) fn heading(&self) -> &ByteRecord {
        &self.heading
    }
}

fn delimiter(text: &str) -> Result<u8, Failure> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if !one.is_ascii_alphanumeric() && *one != b'"' => Ok(*one),
        _ => Err(Failure::Usage(format!(
            "--delimiter `{text}`: name one character, as ';', or `tab`"
        ))),
    }
}

const NOT_UTF8: &str = "is not UTF-8: save the file as UTF-8, as spreadsheets call it `CSV UTF-8`";

fn names(heading: &ByteRecord, path: &Path) -> Result<Vec<String>, Failure> {
    let name = |cell: &[u8]| {
        let text = std::str::from_utf8(cell)
            .map_err(|_| Failure::Usage(format!("the heading of `{}` {NOT_UTF8}", path.display())));
        text.map(|text| text.trim_start_matches('\u{feff}').trim().to_owned())
    };
    heading.iter().map(name).collect()
}

impl Columns {
    fn new(
        mapping: &Mapping,
        names: &[String],
        empty_end: EmptyEnd,
        calendar: Calendar,
        delimiter: u8,
    ) -> Result<Self, Failure> {
        let cell = |field: Field| {
            let place = mapping.place(field);
            place
                .map(|place| cell(field, place, names, delimiter))
                .transpose()
        };
        let needed = |found: Option<Cell>| {
            found.ok_or_else(|| Failure::Usage("--map lacks a field it needs".to_owned()))
        };
        let until = match (cell(Field::Until)?, cell(Field::Through)?) {
            (Some(until), _) => Some((until, Edge::Begin)),
            (None, Some(through)) => Some((through, Edge::After)),
            (None, None) if empty_end == EmptyEnd::Unlimited => None,
            (None, None) => {
                return Err(Failure::Usage(
                    "--map names no end: add until=COLUMN or through=COLUMN, or --empty-end unlimited for access \
                     without end"
                        .to_owned(),
                ));
            }
        };
        Ok(Self {
            user: needed(cell(Field::User)?)?,
            product: needed(cell(Field::Product)?)?,
            grant: cell(Field::Grant)?,
            from: cell(Field::From)?,
            until,
            empty_end,
            calendar,
        })
    }

    fn subscriber(&self, record: &ByteRecord, width: usize) -> Result<Subscriber, Rejected> {
        if record.len() > width {
            return Err(Rejected::row(format!(
                "it has {} columns, the heading {width}: a separator inside a text needs quotes around the text",
                record.len()
            )));
        }
        let from = self.from.as_ref().map(|cell| self.from(record, cell));
        let grant = self.grant.as_ref().map(|cell| cell.id(record, "grant key"));
        Ok(Subscriber {
            grant: grant.transpose()?,
            user: self.user.id(record, "user id")?,
            product: self.product.id(record, "product")?,
            from: from.transpose()?.flatten(),
            until: self.until(record)?,
        })
    }

    /// An empty start is none.
    fn from(&self, record: &ByteRecord, cell: &Cell) -> Result<Option<Instant>, Rejected> {
        let text = cell.text(record)?;
        if text.is_empty() {
            return Ok(None);
        }
        let from = self.calendar.instant(text, Edge::Begin);
        from.map(Some).map_err(|why| cell.rejected(why))
    }

    fn until(&self, record: &ByteRecord) -> Result<End, Rejected> {
        let Some((cell, edge)) = &self.until else {
            return Ok(End::Never);
        };
        let text = cell.text(record)?;
        if !text.is_empty() {
            let until = self.calendar.instant(text, *edge);
            return until.map(End::At).map_err(|why| cell.rejected(why));
        }
        match self.empty_end {
            EmptyEnd::Unlimited => Ok(End::Never),
            EmptyEnd::Refused => {
                let why = "no end. if that means access without end, add --empty-end unlimited";
                Err(cell.rejected(why.to_owned()))
            }
        }
    }
}

fn cell(field: Field, place: &Place, names: &[String], delimiter: u8) -> Result<Cell, Failure> {
    let name = match place {
        Place::Constant(value) => return Ok(Cell::Constant(value.clone())),
        Place::Column(name) => name,
    };
    let mut found = names.iter().enumerate().filter(|(_, known)| *known == name);
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(Cell::At(at, name.clone())),
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "two columns are called `{name}`: give the one for `{}` a name of its own",
            field.name()
        ))),
        (None, _) => Err(Failure::Usage(no_column(name, names, delimiter))),
    }
}

fn no_column(name: &str, names: &[String], delimiter: u8) -> String {
    let there = names.join("`, `");
    let other = [';', '\t', ','].into_iter().find(|other| {
        names.len() == 1 && there.contains(*other) && !other.eq(&char::from(delimiter))
    });
    let hint = match other {
        Some('\t') => ". columns seem to be separated by tabs: add --delimiter tab".to_owned(),
        Some(other) => {
            format!(". columns seem to be separated by `{other}`: add --delimiter '{other}'")
        }
        None => String::new(),
    };
    format!("no column is called `{name}`; there are: `{there}`{hint}")
}

impl Cell {
    fn text<'a>(&'a self, record: &'a ByteRecord) -> Result<&'a str, Rejected> {
        match self {
            Self::Constant(value) => Ok(value),
            Self::At(at, _) => {
                // A row may be shorter than the heading: what it lacks is empty.
                let text = std::str::from_utf8(record.get(*at).unwrap_or_default());
                let text = text.map_err(|_| self.rejected(NOT_UTF8.to_owned()))?;
                Ok(text.trim())
            }
        }
    }

    fn id<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        record: &ByteRecord,
        what: &str,
    ) -> Result<T, Rejected> {
        let text = self.text(record)?;
        if text.is_empty() {
            return Err(self.rejected(format!("no {what}")));
        }
        text.parse()
            .map_err(|error| self.rejected(format!("`{text}` is no {what}: {error}")))
    }

    fn rejected(&self, why: String) -> Rejected {
        let column = match self {
            Self::At(_, name) => Some(name.clone()),
            Self::Constant(_) => None,
        };
        Rejected { column, why }
    }
}

/// The source a list is of.
pub(crate) fn source(text: &str) -> Result<tenure::SourceName, Failure> {
    id("source", text)
}
