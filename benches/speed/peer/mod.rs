//! The same work as a careful engineer would do it by hand in an afternoon, for want of Tenure: prepared statements, the same
//! pragmas, the same compiler, the same allocator. What a peer is given for nothing, as ids already taken apart, is said there.

pub(crate) mod boxed;
pub(crate) mod flat;
pub(crate) mod folded;
pub(crate) mod receiver;
pub(crate) mod rows;
pub(crate) mod windows;
