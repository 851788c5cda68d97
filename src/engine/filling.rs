//! Filling an index: one thread reads, another works out what access that is and puts it in. Where the other falls behind,
//! the one that reads works out a part.

use std::panic::resume_unwind;
use std::sync::mpsc::{TrySendError, channel, sync_channel};
use std::thread;

use crate::domain::decision::{Holdings, Person, SegmentOf, VerdictWalk};
use crate::domain::id::{ProductName, UserId};
use crate::domain::window::Phase;
use crate::index::{AccessIndex, Filling, Prepared, ProductKey};
use crate::store::{StoreError, UserSegments};

/// How much may be read ahead of the other thread, so that the memory this takes does not depend on the log.
const AHEAD: usize = 4;

/// What is read at a time. It goes to the other thread and comes back empty, so its memory is taken once.
pub(super) struct Portion {
    /// Users, of whom those count that are linked to nobody.
    pub(super) listed: UserSegments,
    /// Whoever else there is, with all that is known of the person.
    pub(super) others: Vec<(UserId, Person)>,
    /// What access that is, once it is worked out.
    prepared: Prepared,
    is_worked_out: bool,
}

/// What `begin` gives, with everybody put in of whom `read` tells. It tells by a portion at a time, and gets an empty one back.
pub(super) fn filled(
    index: &AccessIndex,
    begin: impl Fn() -> Filling + Sync,
    read: impl FnOnce(Portion, &mut dyn FnMut(Portion) -> Portion) -> Result<(), StoreError>,
) -> Result<Filling, StoreError> {
    let new_portion = || Portion::new(index.prepared());
    let mut working = Working::default();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Portion>(AHEAD);
        let (giving_back, given_back) = channel::<Portion>();
        let other = thread::Builder::new().name("tenure filling".to_owned());
        let begin = &begin;
        let other = other.spawn_scoped(scope, move || {
            let (mut filling, mut working) = (begin(), Working::default());
            for portion in receiver {
                let _kept = giving_back.send(working.put_in(portion, &mut filling));
            }
            filling
        });
        let Ok(other) = other else {
            let mut filling = begin();
            read(new_portion(), &mut |portion| {
                working.put_in(portion, &mut filling)
            })?;
            return Ok(filling);
        };
        let read = read(new_portion(), &mut |portion| {
            // It takes all there is until this end hangs up; if it does not, joining it tells why.
            if let Err(TrySendError::Full(mut portion)) = sender.try_send(portion) {
                working.work_out(&mut portion);
                let _taken = sender.send(portion);
            }
            given_back.try_recv().unwrap_or_else(|_| new_portion())
        });
        drop(sender);
        let filling = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        read.map(|()| filling)
    })
}

impl Portion {
    fn new(prepared: Prepared) -> Self {
        Self {
            listed: UserSegments::default(),
            others: Vec::new(),
            prepared,
            is_worked_out: false,
        }
    }

    fn clear(&mut self) {
        self.listed.clear();
        self.others.clear();
        self.prepared.clear();
        self.is_worked_out = false;
    }
}

/// Works out access. What it needs of memory for it is kept.
#[derive(Default)]
struct Working {
    walk: VerdictWalk,
    /// Of the listed products, by place.
    products: Vec<ProductKey>,
}

impl Working {
    fn put_in(&mut self, mut portion: Portion, filling: &mut Filling) -> Portion {
        self.work_out(&mut portion);
        filling.put(&portion.prepared);
        portion.clear();
        portion
    }

    fn work_out(&mut self, portion: &mut Portion) {
        if portion.is_worked_out {
            return;
        }
        portion.is_worked_out = true;
        let prepared = &mut portion.prepared;
        let products = portion.listed.products().iter();
        self.products.clear();
        self.products
            .extend(products.map(|product| prepared.product_key(product)));
        for (user, holdings) in portion.listed.unlinked() {
            prepared.add_user(user, holdings.is_named());
            for product in products_held(&holdings) {
                if let Some(key) = self.products.get(product.get()) {
                    prepared.add_product(*key);
                    add_changes(prepared, &mut self.walk, &holdings, product);
                }
            }
        }
        for (user, person) in &portion.others {
            add_person(
                prepared,
                &mut self.walk,
                user,
                person,
                products_held(person),
            );
        }
    }
}

/// Adds a user with what the person's access to the products is.
pub(super) fn add_person<'a>(
    prepared: &mut Prepared,
    walk: &mut VerdictWalk,
    user: &UserId,
    person: &Person,
    products: impl IntoIterator<Item = &'a ProductName>,
) {
    prepared.add_user(user, person.is_named);
    for product in products {
        prepared.add_product(prepared.product_key(product));
        add_changes(prepared, walk, person, product);
    }
}

fn add_changes<H: Holdings>(
    prepared: &mut Prepared,
    walk: &mut VerdictWalk,
    holdings: &H,
    product: &H::Product,
) {
    walk.each_change(holdings, product, |change| prepared.add_change(&change));
}

/// Every product that the person ever held.
fn products_held<H: Holdings<Product: Ord>>(holdings: &H) -> Vec<&H::Product> {
    let grants = (0..holdings.grants()).flat_map(|grant| holdings.segments(grant));
    let mut products: Vec<&H::Product> = Vec::with_capacity(holdings.grants());
    for product in grants.filter_map(|segment| held(segment, holdings)) {
        // Mostly that of the segment before.
        if products.last() != Some(&product) {
            products.push(product);
        }
    }
    products.sort_unstable();
    products.dedup();
    products
}

fn held<'a, H: Holdings>(segment: &'a SegmentOf<H>, holdings: &H) -> Option<&'a H::Product> {
    match &segment.phase {
        Phase::Live(live) if holdings.is_theirs(&live.user) => Some(&live.product),
        Phase::Live(_) | Phase::Over { .. } => None,
    }
}
