//! Filling an index: one thread reads, another works out what access that is and puts it in. Where the other falls behind,
//! the one that reads works out a part.

use std::panic::resume_unwind;
use std::sync::mpsc::{TrySendError, channel, sync_channel};
use std::thread;

use super::indexing::{access, products_held};
use crate::domain::decision::Person;
use crate::domain::id::UserId;
use crate::index::{Filling, UserAccess};
use crate::store::StoreError;

/// What is read at a time.
pub(super) type People = Vec<(UserId, Person)>;

/// How much may be read ahead of the other thread, so that the memory this takes does not depend on the log.
const AHEAD: usize = 4;

/// What goes to the other thread: what was read, or what access that is if the other one has enough to do.
enum Passed {
    Read(People),
    WorkedOut(Vec<(UserId, UserAccess)>),
}

/// What `begin` gives, with everybody of whom `read` tells put in.
pub(super) fn filled(
    begin: impl Fn() -> Filling + Sync,
    read: impl FnOnce(&mut dyn FnMut(People)) -> Result<(), StoreError>,
) -> Result<Filling, StoreError> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Passed>(AHEAD);
        // What a thread allocates it gives back without waiting, what another allocated it does not.
        let (giving_back, given_back) = channel::<Passed>();
        let other = thread::Builder::new().name("tenure filling".to_owned());
        let begin = &begin;
        let other = other.spawn_scoped(scope, move || {
            let mut filling = begin();
            for passed in receiver {
                passed.put(&mut filling);
                let _kept = giving_back.send(passed);
            }
            filling
        });
        let Ok(other) = other else {
            let mut filling = begin();
            read(&mut |people| Passed::Read(people).put(&mut filling))?;
            return Ok(filling);
        };
        let read = read(&mut |people| {
            // It takes all there is until this end hangs up; if it does not, joining it tells why.
            if let Err(TrySendError::Full(passed)) = sender.try_send(Passed::Read(people)) {
                let _taken = sender.send(passed.worked_out());
            }
            given_back.try_iter().for_each(drop);
        });
        drop(sender);
        let filling = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        read.map(|()| filling)
    })
}

impl Passed {
    fn worked_out(self) -> Self {
        match self {
            Self::Read(people) => {
                let people = people.into_iter();
                Self::WorkedOut(people.map(|(user, person)| (user, held(&person))).collect())
            }
            Self::WorkedOut(_) => self,
        }
    }

    fn put(&self, filling: &mut Filling) {
        match self {
            Self::Read(people) => {
                for (user, person) in people {
                    filling.put(user, &held(person));
                }
            }
            Self::WorkedOut(people) => {
                for (user, access) in people {
                    filling.put(user, access);
                }
            }
        }
    }
}

/// What a person has access to by what they ever held.
fn held(person: &Person) -> UserAccess {
    access(person, products_held(person))
}
