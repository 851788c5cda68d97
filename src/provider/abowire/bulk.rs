//! The payload of the bulk events. Its form is not published, so whatever names subscriptions without a doubt is read.

use std::collections::HashSet;

use super::super::value::Raw;
use super::wire::Related;
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::id::GrantKey;

const PAYLOAD: &str = "payload";

/// The subscriptions a payload lists, each once, in the order of the list.
pub(super) fn subscriptions(payload: Raw<'_>) -> Result<Vec<GrantKey>, Refusal> {
    let elements = elements(payload)?;
    let mut seen = HashSet::with_capacity(elements.len());
    let mut subscriptions = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        let key = subscription(element).map_err(|refusal| at(index, refusal))?;
        if seen.insert(key.clone()) {
            subscriptions.push(key);
        }
    }
    Ok(subscriptions)
}

/// The list: the payload itself, or the only list in it.
fn elements(payload: Raw<'_>) -> Result<Vec<Raw<'_>>, Refusal> {
    let refuse = |detail| Refusal::new(Reason::BulkShape, PAYLOAD, detail);
    let list = match payload.list() {
        Some(list) => list,
        None => {
            let mut lists = payload.members().into_iter().filter_map(Raw::list);
            let list = lists.next().ok_or_else(|| {
                refuse("neither a list of subscriptions nor an object that holds one")
            })?;
            if lists.next().is_some() {
                return Err(refuse(
                    "more than one list: which one is meant is not known",
                ));
            }
            list
        }
    };
    if list.is_empty() {
        return Err(refuse("an empty list states nothing"));
    }
    Ok(list)
}

/// An id, or an object that has one.
fn subscription(element: Raw<'_>) -> Result<GrantKey, Refusal> {
    if element.is_object() {
        let object: Related<'_> = element.object().or_empty(PAYLOAD)?;
        return object.id.at("id").required_id();
    }
    element.scalar().at("").required_id()
}

/// Names the element that is refused.
fn at(index: usize, refusal: Refusal) -> Refusal {
    let inside = if refusal.field.is_empty() { "" } else { "." };
    let field = format!("{PAYLOAD}[{index}]{inside}{}", refusal.field);
    Refusal { field, ..refusal }
}
