//! What the command line may say of statements by hand.

use clap::{ArgGroup, Args, ValueEnum};
use tenure::Origin;

pub(crate) const GRANT: &str = "\
The grant is one of staff's own, under a fresh key, unless --of and --grant say otherwise. No system ends it: its own \
end does, or `revoke`. --for counts from --from, or --at, by the calendar.

Examples:
  tenure grant u1 pro --for P30D --why 'outage of 3 May'
  tenure grant u1 pro --until 2027-01-01 --why 'prize draw' --origin gift
  tenure grant u1 pro --unlimited --why staff --actor anna";

pub(crate) const REVOKE: &str = "\
A revoked grant of another source is barred: what its source states later does not give access again, until staff \
`reinstate` or `grant` it.

With --user and --product every grant is revoked that is live then, of any source, and gives that user, or an id \
linked to it, that product; also one that is suspended, has lapsed or begins later.

Examples:
  tenure revoke --user u1 --product pro --why chargeback
  tenure revoke --grant g1 --of crm --why 'shared password' --actor anna";

pub(crate) const REINSTATE: &str = "\
What the grant was holds again from then on, blocks included. That is also how staff lift the bar that `revoke` puts \
on a grant of another source.

Example:
  tenure reinstate --grant g1 --of crm --why 'the bank took the chargeback back'";

pub(crate) const SUSPEND: &str = "\
No access while a block stands. Only `resume` with the same name lifts it; neither payment nor a new grant does.

With --user the block holds for whatever that id holds, now or later: in the source of --of, or in every source there \
is. Linked ids are not blocked with it.

Examples:
  tenure suspend --user u1 --why 'police request 77/26' --name police
  tenure suspend --grant g1 --of crm --why 'is being looked into'";

pub(crate) const RESUME: &str = "\
Only the block of that name is lifted. If others stand, it says which.

Examples:
  tenure resume --user u1 --why 'police request 77/26 is settled' --name police
  tenure resume --grant g1 --of crm --name billing --why 'paid by transfer'";

pub(crate) const WITHDRAW: &str = "\
ID is the dedupe key of the delivery, as `tenure log --keys` shows it. What it said counts no more from now on, for any \
time asked about; questions with --as-of before now still see it. A withdrawal cannot be withdrawn: state the fact \
again.

Examples:
  tenure withdraw crm 'shop e7' --why 'sent by the test system'
  tenure withdraw staff 'staff 5f2c0a9d3b7e4c18' --why 'wrong user'";

pub(crate) const LINK: &str = "\
From now on each of the two has what the other has, for any time asked about. `withdraw` takes it back.

Example:
  tenure link u1 u1@old-shop --why 'same person, confirmed by mail'";

/// What every statement by hand has.
#[derive(Debug, Args)]
pub(crate) struct Stating {
    /// Why, for those who read the log later
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: String,
    /// Who states it [default: TENURE_ACTOR, else the name you are logged in with]
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// From when on it holds; may lie in the past or future [default: now]. A withdrawal or link holds from its recording
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// An id of yours, for scripts: the same statement under the same id counts once. Needs --at, so that it is the same
    #[arg(long, value_name = "ID", requires = "at")]
    pub(crate) id: Option<String>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("end").required(true).args(["until", "period", "unlimited"])))]
pub(crate) struct GrantArgs {
    /// Who gets it
    pub(crate) user: String,
    /// What
    pub(crate) product: String,
    /// Until then
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// For a period, as P30D, P1M, P1Y
    #[arg(long = "for", value_name = "PERIOD")]
    pub(crate) period: Option<String>,
    /// Without end
    #[arg(long)]
    pub(crate) unlimited: bool,
    /// Access begins here [default: --at]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// The key of the grant; an existing one is stated anew [default: a fresh one]
    #[arg(long, value_name = "G")]
    pub(crate) grant: Option<String>,
    /// The source the grant is of
    #[arg(long, value_name = "SOURCE", default_value = "staff")]
    pub(crate) of: String,
    /// How it comes about
    #[arg(long, value_name = "ORIGIN", default_value = "complimentary")]
    pub(crate) origin: Manner,
    #[command(flatten)]
    pub(crate) stating: Stating,
}

/// How a grant comes about.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Manner {
    Complimentary,
    Gift,
    Promo,
    Trial,
    Registration,
    Purchase,
    Import,
}

impl Manner {
    pub(crate) fn origin(self) -> Origin {
        match self {
            Self::Complimentary => Origin::Complimentary,
            Self::Gift => Origin::Gift,
            Self::Promo => Origin::Promo,
            Self::Trial => Origin::Trial,
            Self::Registration => Origin::Registration,
            Self::Purchase => Origin::Purchase,
            Self::Import => Origin::Import,
        }
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["grant", "user"])))]
pub(crate) struct RevokeArgs {
    /// The key of the grant
    #[arg(long, value_name = "G")]
    pub(crate) grant: Option<String>,
    /// The source the grant is of [default: staff]
    #[arg(long, value_name = "SOURCE", conflicts_with = "user")]
    pub(crate) of: Option<String>,
    /// Each grant of this user that gives the product of --product
    #[arg(long, value_name = "U", requires = "product", conflicts_with_all = ["id", "unseen"])]
    pub(crate) user: Option<String>,
    /// The product
    #[arg(long, value_name = "P", requires = "user")]
    pub(crate) product: Option<String>,
    /// Also if no event names the grant yet: it then is barred before it is sold
    #[arg(long)]
    pub(crate) unseen: bool,
    #[command(flatten)]
    pub(crate) stating: Stating,
}

#[derive(Debug, Args)]
pub(crate) struct ReinstateArgs {
    /// The key of the grant
    #[arg(long, value_name = "G")]
    pub(crate) grant: String,
    /// The source the grant is of
    #[arg(long, value_name = "SOURCE", default_value = "staff")]
    pub(crate) of: String,
    /// A new end [default: the one it had]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// Also if no event names the grant yet
    #[arg(long)]
    pub(crate) unseen: bool,
    #[command(flatten)]
    pub(crate) stating: Stating,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["grant", "user"])))]
pub(crate) struct BlockArgs {
    /// The key of the grant
    #[arg(long, value_name = "G")]
    pub(crate) grant: Option<String>,
    /// Whatever this id holds
    #[arg(long, value_name = "U", conflicts_with = "unseen")]
    pub(crate) user: Option<String>,
    /// The source [default: of a grant staff, of a user every one there is]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) of: Option<String>,
    /// The name of the block [default: staff]
    #[arg(long, value_name = "BLOCK")]
    pub(crate) name: Option<String>,
    /// Also if no event names the grant yet
    #[arg(long)]
    pub(crate) unseen: bool,
    #[command(flatten)]
    pub(crate) stating: Stating,
}

#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// The source of the delivery
    pub(crate) source: String,
    /// Its dedupe key, as `tenure log --keys` shows it
    #[arg(value_name = "ID")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) stating: Stating,
}

#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// One id
    pub(crate) user: String,
    /// The other
    pub(crate) alias: String,
    #[command(flatten)]
    pub(crate) stating: Stating,
}
