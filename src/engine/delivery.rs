//! What is handed to the engine, and what it gives back.

use super::line::StatedRefusal;
use super::reading::ReadAhead;
use crate::domain::delivery::{Outcome, Refusal};
use crate::domain::id::{Position, SourceName};
use crate::domain::time::Instant;
use crate::provider::{Request, Verified};

/// A request on its way into the log.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(crate) source: SourceName,
    pub(crate) received_at: Option<Instant>,
    pub(crate) claims_recorded_time: bool,
    /// The recorded time that is claimed, where it is not the time of reception.
    pub(crate) recorded_at: Option<Instant>,
    /// Why it was parked in the log it comes from.
    pub(crate) parked: Option<StatedRefusal>,
    pub(crate) content: Content,
    /// What the content comes to, if it was read already.
    pub(crate) ahead: Option<Box<ReadAhead>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Shown to be authentic.
    Verified(Verified),
    /// From a trusted place; what is encrypted is still to be opened.
    Trusted(Request),
    /// It could not even be taken apart.
    Unreadable(Request, Refusal),
}

impl Delivery {
    /// A request whose authenticity was shown, see [`Engine::verify_request`](super::Engine::verify_request).
    pub(crate) fn verified(source: SourceName, verified: Verified) -> Self {
        Self::new(source, Content::Verified(verified))
    }

    /// A request from a place the operator trusts, as a file. It needs no signature; an encrypted body still has to be
    /// whole and made with the source's secret.
    ///
    /// Never hand a request from the network to this.
    pub fn trusted(source: SourceName, request: Request) -> Self {
        Self::new(source, Content::Trusted(request))
    }

    /// Something that arrived for the source and cannot be taken apart: it goes into quarantine whole.
    pub fn unreadable(source: SourceName, request: Request, refusal: Refusal) -> Self {
        Self::new(source, Content::Unreadable(request, refusal))
    }

    fn new(source: SourceName, content: Content) -> Self {
        Self {
            source,
            received_at: None,
            claims_recorded_time: false,
            recorded_at: None,
            parked: None,
            content,
            ahead: None,
        }
    }

    /// States when the request was received. For a source whose arrival order counts this is when its events take effect.
    #[must_use]
    pub fn received_at(mut self, received_at: Option<Instant>) -> Self {
        self.received_at = received_at;
        self
    }

    /// Claims the time of reception as the recorded time too: for the import of a history. The claim is raised where
    /// needed, so that recorded times increase along the log; one later than the clock is refused.
    #[must_use]
    pub fn claiming_recorded_time(mut self) -> Self {
        self.claims_recorded_time = true;
        self
    }

    /// Leaves aside what the line says of another log: only a history brings that with it.
    pub(crate) fn without_history(mut self) -> Self {
        self.recorded_at = None;
        self.parked = None;
        self
    }

    /// The recorded time it claims, if it claims one and states it.
    pub(crate) fn claim(&self) -> Option<Instant> {
        let claimed = self.recorded_at.or(self.received_at);
        claimed.filter(|_| self.claims_recorded_time)
    }

    /// The source it is for.
    pub fn source(&self) -> &SourceName {
        &self.source
    }
}

/// What became of a delivery. When it is given, the delivery is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What became of it.
    pub outcome: Outcome,
    /// Where it stands in the log; for a repetition, where the first one stands.
    pub position: Position,
    /// The name of the event as the system calls it, where it could be read.
    pub kind: Option<String>,
    /// How many events it recorded.
    pub events: u32,
    /// Why it is in quarantine.
    pub refusal: Option<Refusal>,
}
