//! What staff state by hand: `grant`, `revoke`, `reinstate`, `suspend`, `resume`, `withdraw`, `link`.

use tenure::{
    Blocked, End, GrantId, GrantKey, Instant, Period, ProductName, Question, ResourceName,
    SourceName, SqliteReader, StaffChange, UserId,
};

use crate::failure::{Ending, Failure};
use crate::run::{Run, id, now, warn};

pub(crate) mod args;
mod said;
pub(crate) mod stated;

use args::{BlockArgs, GrantArgs, LinkArgs, ReinstateArgs, RevokeArgs, WithdrawArgs};
use said::{About, Told};
use stated::Stated;

pub(crate) use stated::{fresh, grounds};

type Reader = tenure::Reader<SqliteReader>;

pub(crate) fn grant(run: &mut Run, args: &GrantArgs) -> Result<Ending, Failure> {
    let stated = Stated::new(&args.stating, now())?;
    let user: UserId = id("user id", &args.user)?;
    let product: ProductName = id("product", &args.product)?;
    let statement_id = stated.first_id()?;
    let source: SourceName = id("source", &args.of)?;
    let key = args.grant.as_deref().map(|key| id("grant", key));
    let key: GrantKey = key.transpose()?.unwrap_or_else(|| (&statement_id).into());
    let from = stated.time("--from", args.from.as_deref())?;
    let until = until(&stated, args, from)?;
    let mut engine = run.stating_engine(&source).map_err(no_source)?;
    engine.require_source(&source).map_err(no_such_source)?;
    let change = StaffChange::Granted {
        grant: GrantId { source, key },
        user: user.clone(),
        product: product.clone(),
        until,
        from,
        origin: args.origin.origin(),
    };
    let statement = stated.statement(statement_id, change);
    let told = Told::what(About::Product(user, product));
    said::record(run, &mut engine, &stated, vec![statement], &told)
}

fn until(stated: &Stated, args: &GrantArgs, from: Option<Instant>) -> Result<End, Failure> {
    if let Some(from) = from.filter(|from| *from < stated.at) {
        return Err(Failure::Usage(format!(
            "--from {from} lies before {}, from when on this holds: for access in the past add --at {from}",
            stated.at
        )));
    }
    let start = from.unwrap_or(stated.at);
    let end = match (&args.until, &args.period) {
        (Some(text), _) => stated
            .time("--until", Some(text))?
            .map_or(End::Never, End::At),
        (None, Some(text)) => {
            let period: Period = id("period", text)?;
            period.after(start, End::At(start)).1
        }
        (None, None) => End::Never,
    };
    if end.is_after(start) {
        return Ok(end);
    }
    Err(Failure::Usage(format!(
        "the grant would begin at {start} and end at {end}: an end has to come after the start"
    )))
}

pub(crate) fn revoke(run: &mut Run, args: &RevokeArgs) -> Result<Ending, Failure> {
    let stated = Stated::new(&args.stating, now())?;
    let (Some(user), Some(product)) = (&args.user, &args.product) else {
        let grant = grant_id(args.grant.as_deref(), args.of.as_deref())?;
        return one_grant(run, &stated, grant, args.unseen, |grant, user| {
            StaffChange::Revoked { grant, user }
        });
    };
    let user: UserId = id("user id", user)?;
    let product: ProductName = id("product", product)?;
    let mut engine = run.engine(None)?;
    let mut reader = engine.reader()?;
    let found = reader.live_grants(&user, Some(&product), stated.at)?;
    if found.is_empty() {
        let message = said::nothing_live(&mut reader, &user, &product, stated.at)?;
        return Err(Failure::Usage(message));
    }
    let mut statements = Vec::with_capacity(found.len());
    for held in found {
        let change = StaffChange::Revoked {
            grant: held.grant,
            user: Some(held.user),
        };
        statements.push(stated.statement(stated.first_id()?, change));
    }
    let told = Told::what(About::Product(user, product));
    said::record(run, &mut engine, &stated, statements, &told)
}

pub(crate) fn reinstate(run: &mut Run, args: &ReinstateArgs) -> Result<Ending, Failure> {
    let stated = Stated::new(&args.stating, now())?;
    let until = stated.time("--until", args.until.as_deref())?;
    let grant = grant_id(Some(&args.grant), Some(&args.of))?;
    one_grant(run, &stated, grant, args.unseen, |grant, user| {
        StaffChange::Reinstated { grant, user, until }
    })
}

pub(crate) fn suspend(run: &mut Run, args: &BlockArgs) -> Result<Ending, Failure> {
    block(run, args, true)
}

pub(crate) fn resume(run: &mut Run, args: &BlockArgs) -> Result<Ending, Failure> {
    block(run, args, false)
}

fn block(run: &mut Run, args: &BlockArgs, sets: bool) -> Result<Ending, Failure> {
    let stated = Stated::new(&args.stating, now())?;
    let by = args.name.as_deref().map(|name| id("block", name));
    let by: Option<tenure::BlockName> = by.transpose()?;
    let change = |on: Blocked, user: Option<UserId>| {
        let by = by.clone();
        if sets {
            StaffChange::Suspended { on, user, by }
        } else {
            StaffChange::Resumed { on, user, by }
        }
    };
    let Some(user) = &args.user else {
        let grant = grant_id(args.grant.as_deref(), args.of.as_deref())?;
        return one_grant(run, &stated, grant, args.unseen, |grant, user| {
            change(Blocked::Grant(grant), user)
        });
    };
    let user: UserId = id("user id", user)?;
    if args.of.is_none() && args.stating.id.is_some() {
        return Err(Failure::Usage(
            "--id names one statement, and without --of there is one for each source: add --of SOURCE"
                .to_owned(),
        ));
    }
    let of: Option<SourceName> = args.of.as_deref().map(|of| id("source", of)).transpose()?;
    let mut engine = run.engine(None)?;
    let mut reader = engine.reader()?;
    let sources = match of {
        Some(source) => {
            engine.require_source(&source).map_err(no_such_source)?;
            vec![source]
        }
        None => reader.sources()?,
    };
    if !is_known(&mut reader, &user)? {
        warn(&format!("nothing recorded names the user `{user}` yet"));
    }
    let mut statements = Vec::with_capacity(sources.len());
    for source in sources {
        let user = user.clone();
        let on = Blocked::User { user, source };
        statements.push(stated.statement(stated.first_id()?, change(on, None)));
    }
    let told = Told::what(About::Everything(vec![user]));
    said::record(run, &mut engine, &stated, statements, &told)
}

pub(crate) fn withdraw(run: &mut Run, args: &WithdrawArgs) -> Result<Ending, Failure> {
    let stated = Stated::new(&args.stating, now())?;
    let source: SourceName = id("source", &args.source)?;
    let key = tenure::DedupeKey::new(&args.key)
        .map_err(|error| Failure::Usage(format!("`{}` is no dedupe key: {error}", args.key)))?;
    let mut engine = run.engine(None)?;
    let mut reader = engine.reader()?;
    let told = match &reader.delivery_of_key(&source, &key)? {
        Some(delivery) => said::taken_back(&mut reader, delivery, stated.at)?,
        None => {
            // What a source said that is gone from the rules can still be taken back; what it may say cannot be foreseen.
            engine.require_source(&source).map_err(no_such_source)?;
            warn(&format!(
                "no delivery of {source} that counts has the key `{key}`: this is recorded before what it names, and counts when that \
                 comes. `tenure log --keys` shows the keys there are"
            ));
            Told::default()
        }
    };
    let change = StaffChange::Withdrawn { source, key };
    let statement = stated.statement(stated.first_id()?, change);
    said::record(run, &mut engine, &stated, vec![statement], &told)
}

pub(crate) fn link(run: &mut Run, args: &LinkArgs) -> Result<Ending, Failure> {
    let stated = Stated::new(&args.stating, now())?;
    let user: UserId = id("user id", &args.user)?;
    let alias: UserId = id("user id", &args.alias)?;
    if user == alias {
        return Err(Failure::Usage(format!(
            "`{user}` is one person with itself already: name two ids"
        )));
    }
    let mut engine = run.stating_engine(&SourceName::staff())?;
    let change = StaffChange::Linked {
        user: user.clone(),
        alias,
    };
    let statement = stated.statement(stated.first_id()?, change);
    let told = Told::what(About::Everything(vec![user]));
    said::record(run, &mut engine, &stated, vec![statement], &told)
}

/// A statement about one grant, which some event has to name already, unless it is to be stated all the same.
fn one_grant(
    run: &mut Run,
    stated: &Stated,
    grant: GrantId,
    unseen: bool,
    change: impl FnOnce(GrantId, Option<UserId>) -> StaffChange,
) -> Result<Ending, Failure> {
    let mut engine = run.engine(None)?;
    let mut reader = engine.reader()?;
    let standing = reader.grant_at(&grant, stated.at)?;
    if standing.is_none() {
        engine
            .require_source(&grant.source)
            .map_err(no_such_source)?;
        if !unseen {
            return Err(Failure::Usage(unnamed(&mut reader, &grant)?));
        }
    }
    let held = standing.as_ref().and_then(|standing| standing.held());
    let about = match held {
        Some(live) => About::Product(live.user.clone(), live.product.clone()),
        None => About::Nothing,
    };
    // The holder may be another one when the same is stated again under the same id.
    let named = held.filter(|_| !stated.has_own_id());
    let user = named.map(|live| live.user.clone());
    let statement = stated.statement(stated.first_id()?, change(grant, user));
    said::record(
        run,
        &mut engine,
        stated,
        vec![statement],
        &Told::what(about),
    )
}

fn grant_id(key: Option<&str>, source: Option<&str>) -> Result<GrantId, Failure> {
    Ok(GrantId {
        source: id("source", source.unwrap_or(SourceName::STAFF))?,
        key: id("grant", key.unwrap_or_default())?,
    })
}

/// A slip of the pen would bar a grant that is yet to be sold.
fn unnamed(reader: &mut Reader, grant: &GrantId) -> Result<String, Failure> {
    let mut others = Vec::new();
    for source in reader.sources()? {
        let other = GrantId {
            source,
            key: grant.key.clone(),
        };
        if reader.grant_at(&other, Instant::LAST)?.is_some() {
            others.push(format!("--of {}", other.source));
        }
    }
    let hint = if others.is_empty() {
        "`tenure grants USER` shows a user's".to_owned()
    } else {
        format!("there is one with {}", others.join(" and one with "))
    };
    Ok(format!(
        "no event names a grant `{}` of {}: {hint}. to state it before its source names it, add --unseen",
        grant.key, grant.source
    ))
}

fn is_known(reader: &mut Reader, user: &UserId) -> Result<bool, Failure> {
    let anything: ResourceName = id("resource", user.as_str())?;
    let decision = reader.check(&Question {
        user: user.clone(),
        resource: anything,
        at: Instant::LAST,
        as_of: None,
    })?;
    let unknown = tenure::Verdict::Deny(tenure::DenyReason::UnknownUser);
    Ok(decision.verdict != unknown)
}

fn no_such_source(error: tenure::EngineError) -> Failure {
    match error {
        tenure::EngineError::UnknownSource { .. } => {
            Failure::Usage(format!("{error}. name one of them"))
        }
        other @ (tenure::EngineError::Store(_)
        | tenure::EngineError::Verify(_)
        | tenure::EngineError::NotParked(_)
        | tenure::EngineError::Cursor(_)
        | tenure::EngineError::ReservedName(_)
        | tenure::EngineError::NamesErased
        | tenure::EngineError::NotEmpty) => Failure::Engine(other),
    }
}

fn no_source(failure: Failure) -> Failure {
    match failure {
        Failure::Engine(error) => no_such_source(error),
        other @ (Failure::Usage(_)
        | Failure::NoFile(_)
        | Failure::Output(_)
        | Failure::Undelivered(_)) => other,
    }
}
