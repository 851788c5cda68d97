//! The windows a user has, beside those that were expected.

use tenure::{EngineError, MemoryReader, Question, Reader, UserWindow};

use super::expected::{Bounds, Held, WindowsOf};
use super::running::{Differences, Finding, finding, why};
use crate::words;

pub(super) fn of_windows(
    reader: &mut Reader<MemoryReader>,
    of: &WindowsOf,
    number: usize,
) -> Result<Option<Finding>, EngineError> {
    let windows = reader.windows(&of.user, of.as_of)?;
    let mut differences = Differences::default();
    let is_met = windows.len() == of.expected.len()
        && windows
            .iter()
            .zip(&of.expected)
            .all(|(it, held)| held.is(it));
    if !is_met {
        let expected = of.expected.iter().map(Held::shown).collect();
        let actual = windows.iter().map(|window| of.shown(window)).collect();
        differences.add("windows", expected, actual);
    }
    let mut asked = of.user.to_string();
    if let Some(as_of) = of.as_of {
        asked.push_str(&format!(" as of {}", as_of.0));
    }
    let why = if is_met {
        Vec::new()
    } else {
        why_windows(reader, of, &windows)?
    };
    let of_entry = ("windows", number);
    Ok(finding(of_entry, of.line, asked, differences, || why))
}

/// What led to the first window that is not as expected: asked at the later of the ends, where all of it has taken effect.
fn why_windows(
    reader: &mut Reader<MemoryReader>,
    of: &WindowsOf,
    windows: &[UserWindow],
) -> Result<Vec<String>, EngineError> {
    let pairs = (0..).map(|place| (windows.get(place), of.expected.get(place)));
    let mut differing =
        pairs
            .take(windows.len().max(of.expected.len()))
            .filter(|(window, held)| match (window, held) {
                (Some(window), Some(held)) => !held.is(window),
                (Some(_), None) | (None, Some(_)) | (None, None) => true,
            });
    let (window, held) = differing.next().unwrap_or_default();
    let bounds = [
        window.map(|it| (it.start, it.end)),
        held.map(|it| (it.bounds.start, it.bounds.end)),
    ];
    let instants = bounds
        .into_iter()
        .flatten()
        .map(|(start, end)| end.instant().unwrap_or(start));
    let product = window.map(|it| &it.product).or(held.map(|it| &it.product));
    // A product includes the resource of its own name.
    let resource = product.and_then(|product| product.as_str().parse().ok());
    let (Some(at), Some(resource)) = (instants.max(), resource) else {
        return Ok(Vec::new());
    };
    let question = Question {
        user: of.user.clone(),
        resource,
        at,
        as_of: of.as_of,
    };
    Ok(why(&reader.explain(&question, None)?))
}

impl Held {
    fn is(&self, window: &UserWindow) -> bool {
        self.product == window.product
            && self.grant == window.grant
            && self.bounds.start == window.start
            && self.bounds.end == window.end
            && self.source.as_ref().is_none_or(|it| *it == window.source)
            && self.user.as_ref().is_none_or(|it| *it == window.user)
    }

    fn shown(&self) -> String {
        let span = words::span(self.bounds.start, self.bounds.end);
        let mut text = format!("{span}: {}, {}", self.product, self.grant);
        if let Some(source) = &self.source {
            text.push_str(&format!(" of {source}"));
        }
        if let Some(user) = &self.user {
            text.push_str(&format!(", {user}"));
        }
        text
    }
}

impl WindowsOf {
    /// A window that is there, in the words of those that were expected.
    fn shown(&self, window: &UserWindow) -> String {
        let names_source = self.expected.iter().any(|held| held.source.is_some());
        let names_user = self.expected.iter().any(|held| held.user.is_some());
        let is_another = window.user != self.user;
        let held = Held {
            product: window.product.clone(),
            grant: window.grant.clone(),
            source: names_source.then(|| window.source.clone()),
            user: (names_user || is_another).then(|| window.user.clone()),
            bounds: Bounds {
                start: window.start,
                end: window.end,
            },
        };
        held.shown()
    }
}
