//! The pure core: what statements mean, and what follows from them. No clock, no files, no randomness, no provider's name.
//!
//! Read in the order in which data flows:
//!
//! 1. [`time`] and [`id`] are the values everything is made of, [`delivery`] says what becomes of a request.
//! 2. [`event`]: what a delivery states. A [`Change`](event::Change) of a grant, or a statement about a user, a link, a
//!    withdrawal; and the total order in which events are folded.
//! 3. [`grant`]: the states of one grant and what is noted when a change does not fit.
//! 4. [`fold`](fold::fold): the events of one grant into its history.
//! 5. [`window`]: a history into segments, which say all a decision needs, and windows, which say when there is access.
//!    [`lane`] keeps what windows join apart, for a picture of it.
//! 6. [`rules`]: what products include, and the policies of sources.
//! 7. [`mention`](mention::mentions): what a delivery that could not be decoded may speak of.
//! 8. [`difference`]: who gains or loses what when the rules change.
//! 9. [`turns`](turn::turns): when the access of a person begins and ends.
//! 10. [`decide`](decision::decide): a question, all that is known of a person and the rules into a decision.
//!
//! Everything here is total and depends on nothing but its arguments: the same input gives the same bytes, on any machine.

pub mod decision;
pub mod delivery;
pub mod difference;
pub mod event;
pub mod fold;
pub mod grant;
pub mod id;
pub mod lane;
pub mod mention;
pub mod rules;
mod text;
pub mod time;
pub mod turn;
pub mod window;
