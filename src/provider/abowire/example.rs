//! Events as Abowire would write them.

use serde_json::{Value, json};

use super::super::Particulars;
use super::name::KINDS;

/// The text of an event of that name.
pub(super) fn of(kind: &str, particulars: &Particulars) -> Option<String> {
    let kind = KINDS.iter().find(|known| **known == kind)?;
    let (component, action) = kind.split_once(':')?;
    // Whoever acted is not the one it is about.
    let actor = ["operator-1", "operator-2"]
        .into_iter()
        .find(|actor| *actor != particulars.user.as_str())?;
    let account = particulars.tenant.as_deref().unwrap_or("main");
    let event = json!({
        "id": particulars.id,
        "eventArn": format!("arn:abowire:webhooks:eu:{account}:{kind}"),
        "component": component,
        "action": action,
        "userId": actor,
        "timestamp": particulars.at.to_string(),
        "origin": "https://api.example.com",
        "destination": "https://paywall.example.com/hooks/abowire",
        "payload": payload(component, action, particulars),
    });
    Some(event.to_string())
}

fn payload(component: &str, action: &str, particulars: &Particulars) -> Value {
    let Particulars { grant, until, .. } = particulars;
    let subscription = |status: &str| {
        json!({
            "id": grant,
            "status": status,
            "currentPeriodStart": particulars.at.to_string(),
            "currentPeriodEnd": until.to_string(),
            "customer": {"id": particulars.user},
            "product": {"id": particulars.product},
        })
    };
    let own_id = format!("{component}-{}", particulars.id);
    match (component, action) {
        ("subscription", "bulk-enable" | "bulk-disable") => json!([{"id": grant}]),
        ("subscription", "disable") => subscription("disabled"),
        ("subscription", _) => subscription("active"),
        ("payment", _) => json!({
            "id": own_id,
            "customer": {"id": particulars.user},
            "product": {"id": particulars.product},
            "subscription": {"id": grant, "currentPeriodEnd": until.to_string()},
        }),
        ("product", _) => json!({"id": particulars.product}),
        ("subscriber", _) => json!({"id": particulars.user}),
        _ => json!({"id": own_id}),
    }
}
