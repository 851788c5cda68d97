//! Many callers, each with a delivery, and as few durable transactions as do.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::asking::Asking;
use super::delivery::{Delivery, Receipt};
use super::sources::{Secrets, verified};
use super::{Engine, EngineError};
use crate::domain::id::SourceName;
use crate::domain::time::Instant;
use crate::provider::Request;
use crate::store::{Store, StoreError};

/// Takes deliveries from many threads at once. Cloning is cheap; every clone speaks to the same engine.
///
/// To make a transaction durable costs a hundred times what a delivery costs. So deliveries that come while one is being
/// written wait for it to end, and are then written together in the next; one that comes alone waits for nobody. A receipt
/// is given when the delivery is durable, as by [`Engine::ingest`].
///
/// ```
/// use tenure::{Delivery, Engine, Intake, MemoryStore, Request, Secrets};
///
/// let intake = Intake::new(Engine::new(MemoryStore::new()?, Secrets::default())?)?;
/// let now = "2026-01-01T00:00:05Z".parse()?;
/// std::thread::scope(|threads| {
///     for id in ["e1", "e2"] {
///         let intake = intake.clone();
///         threads.spawn(move || {
///             let body = format!(
///                 r#"{{"specversion":"1.0","id":"{id}","source":"crm","type":"tenure.granted",
///                     "time":"2026-01-01T00:00:00Z","subject":"u1","data":{{"grant":"{id}","product":"news","until":null}}}}"#
///             );
///             let request = Request { body: body.into_bytes(), ..Request::default() };
///             let source = "cloudevents".parse().unwrap();
///             intake.ingest(Delivery::trusted(source, request), now).unwrap();
///         });
///     }
/// });
/// assert_eq!(intake.with_engine(|engine| engine.reader()?.statistics())?.applied, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Intake<S: Store> {
    shared: Arc<Shared<S>>,
}

impl<S: Store> Clone for Intake<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: Store> fmt::Debug for Intake<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Intake")
    }
}

struct Shared<S: Store> {
    /// Goes before the engine, as in that.
    asking: Asking<S::Reader>,
    engine: Mutex<Engine<S>>,
    queue: Mutex<Queue>,
    secrets: Secrets,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order they came.
    waiting: VecDeque<Waiting>,
    /// Whether somebody writes, who will see to those that wait.
    is_led: bool,
    /// How many were written together the last time.
    last_together: usize,
}

/// A delivery whose caller waits for the receipt.
#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    now: Instant,
    place: Arc<Place>,
}

/// Where a caller waits.
#[derive(Debug, Default)]
struct Place {
    news: Mutex<Option<News>>,
    came: Condvar,
}

/// What a caller waits for.
#[derive(Debug)]
enum News {
    /// The delivery was taken, or could not be.
    Answer(Result<Receipt, EngineError>),
    /// The one who wrote is done: this caller writes next.
    Lead,
}

/// The most deliveries in one transaction: beyond that a durable commit is a small part of the cost.
const MOST: usize = 1_000;
/// How often in a row the processor is offered to others without anyone coming, before those who are there are written.
const OFFERS: u32 = 4;

impl<S: Store> Intake<S> {
    /// An intake for the engine.
    ///
    /// # Errors
    /// If the store cannot be opened once more, to read from.
    pub fn new(engine: Engine<S>) -> Result<Self, EngineError> {
        let shared = Shared {
            asking: Asking::by(engine.store.reader()?),
            secrets: engine.secrets.clone(),
            engine: Mutex::new(engine),
            queue: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// As [`Engine::verify_request`], without waiting for what is being written.
    ///
    /// # Errors
    /// As [`Engine::verify_request`].
    pub fn verify_request(
        &self,
        source: &SourceName,
        request: Request,
        now: Instant,
    ) -> Result<Delivery, EngineError> {
        let open = || locked(&self.shared.engine).store.reader();
        let rules = self.shared.asking.rules(open)?;
        verified(&rules, &self.shared.secrets, source, request, now)
    }

    /// Takes one delivery. When this returns, it is durable and every later check sees it.
    ///
    /// A delivery is received no earlier than `now`; those that are written together are recorded by the latest clock.
    ///
    /// # Errors
    /// As [`Engine::ingest`], of this delivery alone: if those written together cannot be, each is tried by itself.
    pub fn ingest(&self, delivery: Delivery, now: Instant) -> Result<Receipt, EngineError> {
        let place = Arc::new(Place::default());
        let is_led = {
            let mut queue = locked(&self.shared.queue);
            queue.waiting.push_back(Waiting {
                delivery,
                now,
                place: Arc::clone(&place),
            });
            std::mem::replace(&mut queue.is_led, true)
        };
        if is_led && let News::Answer(answer) = place.news() {
            return answer;
        }
        self.shared.lead();
        match place.news() {
            News::Answer(answer) => answer,
            // Nobody is asked to lead twice.
            News::Lead => Err(cut_off()),
        }
    }

    /// Lends the engine, for what is not a delivery. Deliveries wait meanwhile.
    pub fn with_engine<T>(&self, work: impl FnOnce(&mut Engine<S>) -> T) -> T {
        work(&mut locked(&self.shared.engine))
    }

    /// The engine, if no other clone is left.
    pub fn into_engine(self) -> Option<Engine<S>> {
        let shared = Arc::into_inner(self.shared)?;
        let engine = shared.engine.into_inner();
        Some(engine.unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Store> Shared<S> {
    /// Writes what waits, this caller's delivery among it, and hands on to the next caller if more came meanwhile.
    fn lead(&self) {
        let _handing_on = HandingOn(&self.queue);
        let mut engine = locked(&self.engine);
        // Only now, for whoever came while the engine was busy is taken along.
        self.gathered().take(&mut engine);
    }

    /// Those who wait. Callers who were just answered together often come again, each as soon as it is given the processor:
    /// written without them, they would need another commit. Who was alone the last time waits for nobody.
    fn gathered(&self) -> Group {
        let (mut seen, mut vain_offers) = (0, 0);
        loop {
            let mut queue = locked(&self.queue);
            let count = queue.waiting.len().min(MOST);
            if count >= queue.last_together || vain_offers == OFFERS {
                queue.last_together = count;
                return Group(queue.waiting.drain(..count).collect());
            }
            drop(queue);
            vain_offers = if count > seen { 0 } else { vain_offers + 1 };
            seen = count;
            std::thread::yield_now();
        }
    }
}

/// Lets the next caller lead, if there is one, however the one before came to its end.
struct HandingOn<'a>(&'a Mutex<Queue>);

impl Drop for HandingOn<'_> {
    fn drop(&mut self) {
        let mut queue = locked(self.0);
        match queue.waiting.front() {
            Some(next) => next.place.tell(News::Lead),
            None => queue.is_led = false,
        }
    }
}

/// Deliveries that are written together. Whoever waits for one that was not answered is told so when this goes.
struct Group(Vec<Waiting>);

impl Group {
    fn take<S: Store>(mut self, engine: &mut Engine<S>) {
        let Some(now) = self.0.iter().map(|it| it.now).max() else {
            return;
        };
        let deliveries = self.0.iter().map(|it| it.delivery.clone()).collect();
        match engine.ingest_batch(deliveries, now) {
            Ok(receipts) => {
                for (waiting, receipt) in self.0.drain(..).zip(receipts) {
                    waiting.place.tell(News::Answer(Ok(receipt)));
                }
            }
            Err(error) if self.0.len() == 1 => {
                if let Some(waiting) = self.0.pop() {
                    waiting.place.tell(News::Answer(Err(error)));
                }
            }
            // One of them may be the reason: each is answered for itself. What was written after all is a repetition.
            Err(_) => {
                for waiting in self.0.drain(..) {
                    let answer = engine.ingest(waiting.delivery, waiting.now);
                    waiting.place.tell(News::Answer(answer));
                }
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for waiting in &self.0 {
            waiting.place.tell(News::Answer(Err(cut_off())));
        }
    }
}

impl Place {
    fn tell(&self, news: News) {
        *locked(&self.news) = Some(news);
        self.came.notify_one();
    }

    /// Waits for what there is to know.
    fn news(&self) -> News {
        let mut told = locked(&self.news);
        loop {
            if let Some(news) = told.take() {
                return news;
            }
            told = self.came.wait(told).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn cut_off() -> EngineError {
    StoreError::Unavailable("the writing was cut off: send it again".to_owned()).into()
}

/// What a panic left is sound: a store that was cut off opens its file anew.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
