//! The access of users in the form in which an index takes it, made outside the index: by several threads, if need be.

use std::ops::Range;

use super::key::{Key, Keys};
use super::shard::Row;
use super::steps::step;
use crate::domain::decision::VerdictChange;
use crate::domain::id::{ProductName, UserId};

/// What is known of the access of users, ready to be put into the index that gave it out.
///
/// One that is emptied and filled anew takes no new memory.
#[derive(Debug)]
pub(crate) struct Prepared {
    keys: Keys,
    users: Vec<User>,
    rows: Vec<Product>,
    steps: Vec<u64>,
}

/// A product, as the index knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProductKey(Key);

#[derive(Debug)]
struct User {
    key: Key,
    is_named: bool,
    /// Where the user's rows lie.
    rows: Range<usize>,
}

#[derive(Debug)]
struct Product {
    key: Key,
    /// Where the steps of the row lie.
    steps: Range<usize>,
}

impl Prepared {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            users: Vec::new(),
            rows: Vec::new(),
            steps: Vec::new(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.users.clear();
        self.rows.clear();
        self.steps.clear();
    }

    pub(crate) fn product_key(&self, product: &ProductName) -> ProductKey {
        ProductKey(self.keys.name(product.as_str()))
    }

    /// Adds a user. `is_named` says whether anything names the person.
    pub(crate) fn add_user(&mut self, user: &UserId, is_named: bool) {
        let end = self.rows.len();
        self.users.push(User {
            key: self.keys.user(user.as_str()),
            is_named,
            rows: end..end,
        });
    }

    /// Adds a product to the user that was added last: one that the person may ever have had, also where there is no change, which
    /// forgets what the index knew of it.
    pub(crate) fn add_product(&mut self, product: ProductKey) {
        if let Some(user) = self.users.last_mut() {
            let end = self.steps.len();
            self.rows.push(Product {
                key: user.key ^ product.0,
                steps: end..end,
            });
            user.rows.end = self.rows.len();
        }
    }

    /// Adds a change of the verdict on the product that was added last; in their order.
    pub(crate) fn add_change(&mut self, change: &VerdictChange) {
        if let Some(product) = self.rows.last_mut() {
            self.steps.push(step(change));
            product.steps.end = self.steps.len();
        }
    }

    /// The keys of each row: the user's, and that of the user and the product.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Key, Key)> {
        self.users.iter().flat_map(|user| {
            let rows = self.rows.get(user.rows.clone()).unwrap_or_default();
            rows.iter().map(|row| (user.key, row.key))
        })
    }

    /// Gives the key of each user, whether anything names them, and their rows.
    pub(super) fn each_user(&self, mut put: impl FnMut(Key, bool, &[Row<'_>])) {
        let rows = self.rows.iter().map(|row| Row {
            key: row.key,
            steps: self.steps.get(row.steps.clone()).unwrap_or_default(),
        });
        let rows: Vec<Row<'_>> = rows.collect();
        for user in &self.users {
            let own = rows.get(user.rows.clone()).unwrap_or_default();
            put(user.key, user.is_named, own);
        }
    }
}
