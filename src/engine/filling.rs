//! Filling an index: one thread reads, another works out what access that is.

use std::panic::resume_unwind;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use super::indexing::{access, products_held};
use crate::domain::decision::Person;
use crate::domain::id::UserId;
use crate::index::Filling;
use crate::store::StoreError;

/// What is read at a time.
pub(super) type People = Vec<(UserId, Person)>;

/// How much may be read ahead of the other thread, so that the memory this takes does not depend on the log.
const AHEAD: usize = 4;

/// What `begin` gives, with everybody of whom `read` tells put in.
pub(super) fn filled(
    begin: impl Fn() -> Filling + Sync,
    read: impl FnOnce(&mut dyn FnMut(People)) -> Result<(), StoreError>,
) -> Result<Filling, StoreError> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<People>(AHEAD);
        // What a thread allocates it gives back without waiting, what another allocated it does not.
        let (giving_back, given_back) = channel::<People>();
        let other = thread::Builder::new().name("tenure filling".to_owned());
        let begin = &begin;
        let other = other.spawn_scoped(scope, move || {
            let mut filling = begin();
            for people in receiver {
                put(&mut filling, &people);
                let _kept = giving_back.send(people);
            }
            filling
        });
        let Ok(other) = other else {
            let mut filling = begin();
            read(&mut |people| put(&mut filling, &people))?;
            return Ok(filling);
        };
        let read = read(&mut |people| {
            // It takes all there is until this end hangs up; if it does not, joining it tells why.
            let _taken = sender.send(people);
            given_back.try_iter().for_each(drop);
        });
        drop(sender);
        let filling = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        read.map(|()| filling)
    })
}

fn put(filling: &mut Filling, people: &[(UserId, Person)]) {
    for (user, person) in people {
        filling.put(user, &access(person, products_held(person)));
    }
}
