//! How long readers may keep a transaction open.
//!
//! While one is open, the write-ahead log behind it can be neither put back into the file nor begun anew. So one thread ends
//! those that nobody uses, and all of them once a second, for long enough that whoever waits for it can do its work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::reader::Keeper;

/// How often it looks. SQLite looks as often, at least, whether it can go on with what it waits for.
const TURN: Duration = Duration::from_millis(100);
/// The last turn of so many is one in which nothing is kept.
const TURNS: u32 = 10;

static WATCH: Mutex<Watch> = Mutex::new(Watch {
    keepers: Vec::new(),
    is_running: false,
});
static REST: AtomicBool = AtomicBool::new(false);

struct Watch {
    keepers: Vec<Weak<Mutex<Keeper>>>,
    is_running: bool,
}

/// Whether a transaction may be kept now.
pub(super) fn may_keep() -> bool {
    !REST.load(Ordering::Relaxed)
}

/// Sees to it that the transaction kept there ends. `false` if that cannot be promised.
pub(super) fn watch(keeper: &Arc<Mutex<Keeper>>) -> bool {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if !watch.is_running {
        let thread = thread::Builder::new().name("tenure reading".to_owned());
        watch.is_running = thread.spawn(run).is_ok();
    }
    if watch.is_running {
        watch.keepers.push(Arc::downgrade(keeper));
    }
    watch.is_running
}

fn run() {
    for turn in (1..=TURNS).cycle() {
        thread::sleep(TURN);
        let is_rest = turn == TURNS;
        REST.store(is_rest, Ordering::Relaxed);
        let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        watch.keepers.retain(|keeper| is_kept(keeper, is_rest));
        if watch.keepers.is_empty() && !is_rest {
            watch.is_running = false;
            return;
        }
    }
}

/// Whether something has still to be ended there.
fn is_kept(keeper: &Weak<Mutex<Keeper>>, is_rest: bool) -> bool {
    let Some(keeper) = keeper.upgrade() else {
        return false;
    };
    // One that reads right now keeps nothing after a rest has begun, and is looked at again in the next turn.
    keeper
        .try_lock()
        .map_or(true, |mut keeper| keeper.tire(is_rest))
}
