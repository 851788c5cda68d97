//! The segments of many users, as short as an index needs them that is filled: without the ids of grants and without a text for
//! each user and product, so that a list of thousands takes no memory of its own for each.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;

use crate::domain::decision::Holdings;
use crate::domain::id::{ProductName, UserId};
use crate::domain::window::{LivePhase, Phase, Segment};

/// Users, each with the segments of every grant that names them, sorted by grant.
///
/// A list that is emptied and filled anew takes no new memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UserSegments {
    users: Vec<ListedUser>,
    /// Where the segments of each grant lie.
    grants: Vec<Range<usize>>,
    segments: Vec<UserSegment>,
    products: ProductPlaces,
}

/// A segment of a grant that names the user of whose list it is.
pub type UserSegment = Segment<Whose, ProductPlace>;

/// Who holds a grant, as far as it matters to the user of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The user does.
    TheUsers,
    /// Somebody else does.
    AnOthers,
}

/// The place of a product among [`ProductPlaces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProductPlace(usize);

/// Products, each known by the place it was given when it was met first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProductPlaces {
    products: Vec<ProductName>,
    places: HashMap<ProductName, ProductPlace>,
}

/// A user of the list.
#[derive(Debug, PartialEq, Eq)]
pub struct ListedUser {
    /// The user.
    pub id: UserId,
    /// Whether an event names the user. A list says so of holders; of others whoever reads it has to find out.
    pub is_named: bool,
    /// Whether the user is linked to others, for whoever reads the list to find out: then this is not all that is known of
    /// the person.
    pub is_linked: bool,
    /// Where the user's grants lie in the list.
    grants: Range<usize>,
}

impl UserSegments {
    /// Without users; the products stay known.
    pub fn clear(&mut self) {
        self.users.clear();
        self.grants.clear();
        self.segments.clear();
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The user that was added last.
    pub fn last(&self) -> Option<&UserId> {
        self.users.last().map(|user| &user.id)
    }

    /// Adds a user, without grants.
    pub fn add_user(&mut self, id: UserId) {
        let end = self.grants.len();
        self.users.push(ListedUser {
            id,
            is_named: false,
            is_linked: false,
            grants: end..end,
        });
    }

    /// Adds a grant to the user that was added last, with the segments that `put` appends. A grant without segments is left
    /// out, and so is one of which `put` fails.
    ///
    /// # Errors
    /// That of `put`.
    pub fn add_grant<E>(
        &mut self,
        put: impl FnOnce(&UserId, &mut ProductPlaces, &mut Vec<UserSegment>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(user) = self.users.last_mut() else {
            return Ok(());
        };
        let start = self.segments.len();
        let done = put(&user.id, &mut self.products, &mut self.segments);
        if done.is_err() {
            self.segments.truncate(start);
        }
        let end = self.segments.len();
        if end > start {
            self.grants.push(start..end);
            user.grants.end = self.grants.len();
            let mut holders = self.segments.iter().skip(start).filter_map(Segment::holder);
            user.is_named |= holders.any(|holder| *holder == Whose::TheUsers);
        }
        done
    }

    /// Adds a grant with whole segments to the user that was added last.
    pub fn add_segments(&mut self, segments: &[Segment]) {
        let Ok(()) = self.add_grant(|user, products, list| {
            list.extend(segments.iter().map(|it| listed(it, user, products)));
            Ok::<(), Infallible>(())
        });
    }

    /// Every user, to say what else is known of them.
    pub fn users_mut(&mut self) -> impl Iterator<Item = &mut ListedUser> {
        self.users.iter_mut()
    }

    /// Every user who is linked to nobody, with what they hold.
    pub fn unlinked(&self) -> impl Iterator<Item = (&UserId, UserHoldings<'_>)> {
        let users = self.users.iter().filter(|user| !user.is_linked);
        users.map(|user| {
            let holdings = UserHoldings {
                user,
                grants: self.grants.get(user.grants.clone()).unwrap_or_default(),
                segments: &self.segments,
            };
            (&user.id, holdings)
        })
    }

    /// Every product met, by place.
    pub fn products(&self) -> &[ProductName] {
        &self.products.products
    }
}

fn listed(segment: &Segment, user: &UserId, products: &mut ProductPlaces) -> UserSegment {
    let whose = |holder: &UserId| match holder == user {
        true => Whose::TheUsers,
        false => Whose::AnOthers,
    };
    let phase = match &segment.phase {
        Phase::Live(live) => Phase::Live(LivePhase {
            user: whose(&live.user),
            product: products.place(&live.product),
            start: live.start,
            paid_until: live.paid_until,
            end: live.end,
            cancelled: live.cancelled,
            suspended: live.suspended,
            parent_ended: live.parent_ended,
        }),
        Phase::Over { how, holder } => Phase::Over {
            how: *how,
            holder: holder.as_ref().map(whose),
        },
    };
    Segment {
        from: segment.from,
        to: segment.to,
        phase,
    }
}

impl ProductPlaces {
    /// The place of the product of that name, if it was met before.
    pub fn known(&self, name: &str) -> Option<ProductPlace> {
        self.places.get(name).copied()
    }

    /// The place of a product, a new one if it was not met before.
    pub fn place(&mut self, product: &ProductName) -> ProductPlace {
        if let Some(place) = self.known(product.as_str()) {
            return place;
        }
        let place = ProductPlace(self.products.len());
        self.products.push(product.clone());
        self.places.insert(product.clone(), place);
        place
    }
}

impl ProductPlace {
    /// Counted from zero.
    pub fn get(self) -> usize {
        self.0
    }
}

/// What a user of the list holds.
#[derive(Clone, Copy, Debug)]
pub struct UserHoldings<'a> {
    user: &'a ListedUser,
    grants: &'a [Range<usize>],
    segments: &'a [UserSegment],
}

impl Holdings for UserHoldings<'_> {
    type User = Whose;
    type Product = ProductPlace;

    fn is_named(&self) -> bool {
        self.user.is_named
    }

    fn is_theirs(&self, user: &Whose) -> bool {
        *user == Whose::TheUsers
    }

    fn grants(&self) -> usize {
        self.grants.len()
    }

    fn segments(&self, grant: usize) -> &[UserSegment] {
        let place = self.grants.get(grant).cloned();
        place
            .and_then(|place| self.segments.get(place))
            .unwrap_or_default()
    }
}
