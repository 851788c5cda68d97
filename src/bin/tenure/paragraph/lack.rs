//! Why there is no access: what took it, in order of time, and what would give it, where that was tried.

use tenure::{BlockToLift, Decision, DenyReason, GrantSummary, Instant, KeptBy, ProductName, Step};

use super::Told;
use super::phrases::{list, parent_reason, said, taking};
use crate::moment::in_words;

/// What happened to the access, as sentences.
#[derive(Default)]
struct Happened {
    sentences: Vec<(Instant, String)>,
    /// The places of the events that have been told.
    told: Vec<usize>,
}

impl Happened {
    fn tell(&mut self, at: Instant, sentence: String) {
        if self.sentences.iter().all(|(_, told)| *told != sentence) {
            self.sentences.push((at, sentence));
        }
    }

    /// The sentences in order of time.
    fn in_order(mut self) -> Vec<String> {
        self.sentences.sort_by_key(|(at, _)| *at);
        self.sentences.into_iter().map(|(_, it)| it).collect()
    }
}

impl Told<'_> {
    /// Why there is no access, and what would have kept it.
    pub(super) fn lack(&self, reason: DenyReason) -> Vec<String> {
        let Some(kept_by) = &self.explanation.kept_by else {
            return Vec::new();
        };
        match kept_by {
            KeptBy::Product { products } => return self.lacks_product(reason, products),
            KeptBy::Beginning { at: None } => return vec!["It was to begin later.".to_owned()],
            KeptBy::Beginning { at: Some(at) } => {
                let begins = if *at > self.now { "begins" } else { "began" };
                return vec![format!("Access {begins} on {}.", in_words(*at))];
            }
            KeptBy::Renewal { .. }
            | KeptBy::CancelledRenewal { .. }
            | KeptBy::LiftedBlocks { .. }
            | KeptBy::Reinstatement { .. }
            | KeptBy::Parent { .. }
            | KeptBy::Holder { .. } => {}
        }
        let mut sentences: Vec<String> = Vec::new();
        if matches!(kept_by, KeptBy::Renewal { .. }) {
            sentences.extend(self.failed_payment());
        }
        let happened = self.happened(kept_by);
        let count = happened.sentences.len();
        sentences.extend(happened.in_order());
        sentences.extend(self.remedy(kept_by, count));
        sentences
    }

    /// What took access, what the reason was read from, and what stood in the way beside it.
    fn happened(&self, kept_by: &KeptBy) -> Happened {
        let explanation = self.explanation;
        let mut happened = Happened::default();
        match kept_by {
            KeptBy::Renewal { by } => happened.tell(*by, self.ran_out(*by)),
            KeptBy::CancelledRenewal { by, cancelled_by } => {
                self.tell_cancelled(&mut happened, *by, cancelled_by);
            }
            KeptBy::LiftedBlocks { blocks } => {
                for block in blocks {
                    let at = self.step(&block.set_by).map(|it| it.effective_at.0);
                    let at = at.unwrap_or(self.decision.question.at);
                    happened.tell(at, self.blocked(block));
                    happened.told.extend(&block.set_by);
                }
            }
            KeptBy::Reinstatement { ended_by } => self.tell(&mut happened, ended_by),
            KeptBy::Parent { grant, reason, .. } => {
                let reason = parent_reason(*reason);
                let sentence =
                    format!("It hangs on another grant, {grant}, which gives no access: {reason}.");
                happened.tell(self.decision.question.at, sentence);
            }
            KeptBy::Holder {
                user,
                transferred_by,
            } => {
                self.tell(&mut happened, transferred_by);
                if transferred_by.is_empty() {
                    happened.tell(self.decision.question.at, format!("It is held by {user}."));
                }
            }
            KeptBy::Product { .. } | KeptBy::Beginning { .. } => {}
        }
        if !matches!(kept_by, KeptBy::Parent { .. }) {
            self.tell_loss(&mut happened);
        }
        if !explanation.is_enough {
            self.tell(&mut happened, &explanation.without);
        }
        self.tell(&mut happened, &explanation.without_all);
        happened
    }

    /// How access ended at last, which may be long before the reason became what it is.
    fn tell_loss(&self, happened: &mut Happened) {
        let Some(lost_at) = self.explanation.lost_at else {
            return;
        };
        let at = in_words(lost_at);
        let by = &self.explanation.lost_by;
        let steps: Vec<&Step> = by
            .iter()
            .filter_map(|it| self.explanation.steps.get(*it))
            .collect();
        let Some(first) = steps.first() else {
            let sentence = format!("By the rules its product stopped giving access on {at}.");
            return happened.tell(lost_at, sentence);
        };
        if !first.decisive {
            let grant = &first.grant;
            let sentence =
                format!("The grant that it hangs on, {grant}, gave no access from {at} on.");
            return happened.tell(lost_at, sentence);
        }
        self.tell(happened, by);
        let is_told = happened.sentences.iter().any(|(at, _)| *at == lost_at);
        if !is_told {
            happened.tell(lost_at, format!("It ran out on {at}."));
        }
    }

    /// Tells of the events at these places, of those not told yet that restrict.
    fn tell(&self, happened: &mut Happened, places: &[usize]) {
        for place in places {
            let Some(step) = self.explanation.steps.get(*place) else {
                continue;
            };
            let is_told = |told: &usize| {
                let told = self.explanation.steps.get(*told);
                told.is_some_and(|told| (told.position, told.index) == (step.position, step.index))
            };
            if happened.told.iter().any(is_told) {
                continue;
            }
            let Some(what) = taking(step, step.effective_at.0 > self.now) else {
                continue;
            };
            happened.told.push(*place);
            let (at, said) = (step.effective_at.0, said(step));
            let is_own = step.decisive || self.decision.access.is_none();
            happened.tell(
                at,
                if is_own {
                    format!("{what} {said}.")
                } else {
                    format!("Of another grant, {}: {what} {said}.", step.grant)
                },
            );
        }
    }

    fn tell_cancelled(&self, happened: &mut Happened, by: Instant, cancelled_by: &[usize]) {
        let at = in_words(by);
        let ran = if by > self.now { "runs" } else { "ran" };
        let Some(step) = self.step(cancelled_by) else {
            return happened.tell(by, format!("It was cancelled, and {ran} out on {at}."));
        };
        let cancelled_at = step.effective_at.0;
        if cancelled_at <= by {
            let sentence = format!("It was cancelled {}, and {ran} out on {at}.", said(step));
            happened.tell(by, sentence);
            happened.told.extend(cancelled_by);
        } else {
            happened.tell(by, format!("It ran out on {at}."));
            self.tell(happened, cancelled_by);
        }
    }

    fn ran_out(&self, by: Instant) -> String {
        let at = in_words(by);
        let set_by = self.step(&self.explanation.lost_by);
        let was_refunded = set_by.is_some_and(|step| step.change == "refunded");
        let renews = self.last().is_some_and(|it| it.effect.after.recurring);
        match (renews, by > self.now) {
            (true, true) => format!("It runs out on {at} unless it is renewed."),
            (true, false) if was_refunded => format!("It ran out on {at}."),
            (true, false) => format!("It ran out on {at} and was not renewed."),
            (false, true) => format!("It was given for a fixed time, which runs out on {at}."),
            (false, false) => format!("It was given for a fixed time, which ran out on {at}."),
        }
    }

    fn blocked(&self, block: &BlockToLift) -> String {
        let on = match &block.user {
            Some(user) => format!(", with all that {user} holds from {}", block.source),
            None => String::new(),
        };
        match self.step(&block.set_by) {
            Some(step) => format!("It was suspended as `{}` {}{on}.", block.name, said(step)),
            None => format!("It was suspended as `{}`{on}.", block.name),
        }
    }

    /// What gives access, or would have kept it: only what was tried.
    fn remedy(&self, kept_by: &KeptBy, happened: usize) -> Option<String> {
        let is_enough = self.explanation.is_enough;
        match kept_by {
            KeptBy::Renewal { by } | KeptBy::CancelledRenewal { by, .. } if is_enough => {
                Some(self.renewal(*by, happened))
            }
            KeptBy::LiftedBlocks { blocks } if is_enough => Some(match blocks.as_slice() {
                [_] => "When that is lifted, access is there again.".to_owned(),
                _ => "When each of these is lifted, access is there again.".to_owned(),
            }),
            KeptBy::Parent { .. } if is_enough => {
                Some("When that one gives access, so does this one.".to_owned())
            }
            KeptBy::Reinstatement { .. } if is_enough => Some(match self.without(happened) {
                Some(without) => format!(
                    "{without} there would be access: reinstating it, or withdrawing {}, gives it back.",
                    self.statements()
                ),
                None => "Reinstating it gives access again.".to_owned(),
            }),
            KeptBy::Holder { .. } => None,
            KeptBy::Reinstatement { .. } => Some(self.withdrawing(happened).map_or_else(
                || "Even without that there would be no access.".to_owned(),
                |it| format!("{it} Reinstating it alone does not."),
            )),
            KeptBy::Renewal { .. } | KeptBy::CancelledRenewal { .. } => Some(
                self.withdrawing(happened)
                    .unwrap_or_else(|| "A renewal alone would not have kept access.".to_owned()),
            ),
            KeptBy::LiftedBlocks { .. } => Some(
                self.withdrawing(happened)
                    .unwrap_or_else(|| "Lifting that alone would not give access.".to_owned()),
            ),
            KeptBy::Parent { .. } => Some(
                self.withdrawing(happened)
                    .unwrap_or_else(|| "Access of that one alone would not give it.".to_owned()),
            ),
            KeptBy::Product { .. } | KeptBy::Beginning { .. } => None,
        }
    }

    fn renewal(&self, by: Instant, happened: usize) -> String {
        let renews = self.last().is_some_and(|it| it.effect.after.recurring);
        let is_alone = happened == 1 && self.explanation.lost_at == Some(by);
        match (is_alone, renews, by > self.now) {
            (true, true, false) => "A renewal by then would have kept access.",
            (true, true, true) => "A renewal by then keeps access.",
            (true, false, false) => "Had it been extended by then, access would have gone on.",
            (true, false, true) => "If it is extended by then, access goes on.",
            (false, true, _) => "There would be access had it been renewed before it ran out.",
            (false, false, _) => "There would be access had it been extended before it ran out.",
        }
        .to_owned()
    }

    fn withdrawing(&self, happened: usize) -> Option<String> {
        let without = self.without(happened)?;
        let statements = self.statements();
        Some(format!(
            "{without} there would be access: withdrawing {statements} gives it back."
        ))
    }

    /// What was thought away: `Without that`; nothing if no thinking away helped.
    fn without(&self, happened: usize) -> Option<String> {
        let (one, all) = (&self.explanation.without, &self.explanation.without_all);
        if !all.is_empty() {
            return Some("Without all of these".to_owned());
        }
        let steps: Vec<&Step> = one
            .iter()
            .filter_map(|it| self.explanation.steps.get(*it))
            .collect();
        let step = steps
            .iter()
            .rfind(|step| taking(step, false).is_some())
            .or(steps.first())?;
        Some(if happened <= 1 {
            "Without that".to_owned()
        } else {
            format!("Without what was stated {}", said(step))
        })
    }

    fn statements(&self) -> &'static str {
        if self.explanation.without_all.is_empty() {
            "that statement"
        } else {
            "them"
        }
    }

    fn lacks_product(&self, reason: DenyReason, products: &[ProductName]) -> Vec<String> {
        let Decision { question, .. } = self.decision;
        let (user, resource) = (&question.user, &question.resource);
        let names: Vec<String> = products.iter().map(ToString::to_string).collect();
        let mut sentences = Vec::new();
        if reason == DenyReason::UnknownUser {
            sentences.push(format!(
                "Nothing that was received names {user}. The id may be misspelt, or the reader known by another one; \
                 `tenure link` joins two ids."
            ));
        } else if reason == DenyReason::NotIncluded {
            let product = self.last().and_then(|it| it.effect.after.product.as_ref());
            let product = product.map_or_else(String::new, ToString::to_string);
            let switched = self.steps().rfind(|step| {
                let (before, after) = (&step.effect.before, &step.effect.after);
                before.product.is_some() && before.product != after.product
            });
            sentences.push(match switched {
                Some(step) => format!("It was switched to {product} {}.", said(step)),
                None => format!("Product {product} does not include {resource} at that time."),
            });
        } else {
            let had = self.products_held();
            let given: Vec<String> = had.iter().filter(|it| is_of(it, &names)).cloned().collect();
            if had.is_empty() {
                sentences.push(format!("{user} is known, but never had a product."));
            } else if given.is_empty() {
                let had = list(&had);
                sentences.push(format!(
                    "What {user} was given, {had}, does not include {resource}."
                ));
            } else {
                let given = list(&given);
                sentences.push(format!(
                    "{user} was given {given}, but never had access with it."
                ));
                let mut happened = Happened::default();
                self.tell(&mut happened, &self.explanation.without);
                self.tell(&mut happened, &self.explanation.without_all);
                let count = happened.sentences.len();
                sentences.extend(happened.in_order());
                if let Some(withdrawing) = self.withdrawing(count).filter(|_| count > 0) {
                    sentences.push(withdrawing);
                    return sentences;
                }
            }
        }
        sentences.push(match names.as_slice() {
            [] => {
                format!("No product of the rules includes {resource}; one of that very name would.")
            }
            [name] => format!("Product {name} would give it."),
            names => format!("Any of the products {} would give it.", list(names)),
        });
        sentences
    }

    /// The products that the reader ever held, in the order of the steps.
    fn products_held(&self) -> Vec<String> {
        let mut products: Vec<String> = Vec::new();
        for step in self.explanation.steps.iter().filter(|step| step.in_effect) {
            let GrantSummary { user, product, .. } = &step.effect.after;
            let is_own = user
                .as_ref()
                .is_some_and(|user| self.explanation.linked.contains(user));
            let product = product.as_ref().map(ToString::to_string);
            if let Some(product) = product.filter(|it| is_own && !products.contains(it)) {
                products.push(product);
            }
        }
        products
    }

    /// That access comes back of itself.
    pub(super) fn beginning_again(&self) -> Option<String> {
        let is_told = matches!(self.explanation.kept_by, Some(KeptBy::Beginning { .. }));
        let at = self.decision.next_change_at?;
        if is_told || self.decision.verdict.is_allowed() {
            return None;
        }
        let begins = if at > self.now { "begins" } else { "began" };
        let again = if self.explanation.lost_at.is_some() {
            " again"
        } else {
            ""
        };
        Some(format!("Access {begins}{again} on {}.", in_words(at)))
    }

    fn step(&self, places: &[usize]) -> Option<&Step> {
        self.explanation.steps.get(*places.last()?)
    }
}

fn is_of(name: &str, names: &[String]) -> bool {
    names.iter().any(|it| it == name)
}
