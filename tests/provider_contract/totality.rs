//! Whatever comes, there is an answer, and the same one each time.

use proptest::prelude::*;
use serde_json::{Value, json};
use tenure::provider::{Content, PROVIDERS, Request};

use super::{Source, now, read, secret, vectors};

/// Bodies of all vectors, as what to start from when damaging them.
fn sound_bodies() -> Vec<Vec<u8>> {
    let vectors = PROVIDERS.iter().flat_map(|provider| vectors(*provider));
    let deliveries = vectors.flat_map(|vector| vector.deliveries);
    deliveries.map(|delivery| delivery.request().body).collect()
}

/// Values at the limits of what a field may hold.
fn any_value() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "",
        "0",
        "-1",
        "9223372036854775807",
        "1.0",
        "P1M",
        "P1200M",
        "PT0S",
        "staff",
        "purchase",
        "2026-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "u1",
        "a\nb",
        "0A0B0C0D-0000-4000-8000-00000000000F",
        "new_purchase",
        "tenure.granted",
        "tenure.renewed",
        "Active",
        "trialing",
        "Canceled",
        "days",
        "month",
        "YEARS",
    ]);
    let numbers = prop::sample::select(vec![
        i64::MIN,
        i64::MIN + 1,
        -62_135_596_801,
        -1,
        0,
        1,
        253_402_300_800,
        1_293_858_000_000,
        1_293_858_000_001,
        i64::MAX - 1,
        i64::MAX,
    ]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        numbers.prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        (250_usize..260).prop_map(|length| Value::from("x".repeat(length))),
        Just(json!([1])),
        Just(json!({"grant": "g"})),
        Just(json!({"id": "p"})),
        Just(json!({"status": {"old": "active", "new": "banned"}})),
        prop_oneof![Just(json!(1)), Just(json!("36525")), Just(json!(u64::MAX))].prop_map(
            |count| json!({"unlimitedAccess": false, "durationValue": count, "durationTime": "weeks"})
        ),
        Just(json!({"unlimitedAccess": true})),
        Just(json!({"id": "g", "status": "Active", "lastInvoiceId": "i", "product": {"id": "p"}})),
    ]
}

/// Events with any value in any field that some provider reads.
fn any_event() -> impl Strategy<Value = Vec<u8>> {
    let fields = vec![
        "event",
        "type",
        "aid",
        "uid",
        "rid",
        "access_id",
        "expires",
        "next_bill_date",
        "id",
        "source",
        "time",
        "subject",
        "created",
        "created_at",
        "project_id",
    ];
    let inner = vec![
        "grant",
        "product",
        "until",
        "period",
        "recurring",
        "from",
        "period_key",
        "parent",
        "origin",
        "by",
        "user",
        "cause",
        "alias",
        "id",
        "id_source",
        "grant_source",
        "customerId",
        "subscriptionId",
        "lastInvoiceId",
        "createdAt",
        "status",
        "productAccessProvider",
        "subscription",
        "member_id",
        "plan_id",
        "new_plan",
        "changed_at",
        "changes",
        "current_period_start",
        "current_period_end",
        "cancel_at_period_end",
        "cancelled_at",
        "effective_date",
    ];
    let kinds: Vec<&str> = PROVIDERS
        .iter()
        .flat_map(|p| p.kinds().iter().copied())
        .collect();
    let object = |names: Vec<&'static str>| {
        prop::collection::btree_map(prop::sample::select(names), any_value(), 0..16)
    };
    (prop::sample::select(kinds), object(fields), object(inner)).prop_map(|(kind, outer, inner)| {
        let mut event = json!({"specversion": "1.0", "id": "e", "source": "s", "event": kind,
            "type": kind, "time": 0, "created": 0, "created_at": 0, "subject": "u", "access_id": "g",
            "data": inner});
        for (name, value) in outer {
            event[name] = value;
        }
        event.to_string().into_bytes()
    })
}

/// What anything at all has to come to: an answer, the same one twice, and named where it is a refusal.
fn read_by_all(body: &[u8], query: Option<&str>) {
    for provider in PROVIDERS.iter().copied() {
        let source = Source::named("shop", provider.name());
        let request = || Request {
            body: body.to_vec(),
            query: query.map(str::to_owned),
            ..Request::default()
        };
        let first = read(provider, request(), Some(&secret()), &source);
        let again = read(provider, request(), Some(&secret()), &source);
        assert_eq!(first, again);
        if let Content::Events(events) = &first.content {
            assert!(!events.is_empty());
        }
        assert!(provider.verify(request(), Some(&secret()), now()).is_err());
        provider.decode(body, &source.context());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        query in prop::option::of(any::<String>()),
    ) {
        read_by_all(&body, query.as_deref());
    }

    #[test]
    fn any_fields_are_read_without_panic(body in any_event()) {
        read_by_all(&body, None);
    }

    #[test]
    fn any_packet_like_text_is_read_without_panic(
        query in "data=[A-Za-z0-9_%=-]{0,70}(~~~[A-Za-z0-9_=-]{0,50}){0,3}",
    ) {
        read_by_all(b"", Some(&query));
        read_by_all(query.as_bytes(), None);
    }

    #[test]
    fn what_is_sealed_is_opened_again(text in prop::collection::vec(any::<u8>(), 0..100)) {
        for provider in PROVIDERS {
            let request = provider.seal(&text, Some(&secret()), now()).unwrap();
            let verified = provider.verify(request.clone(), Some(&secret()), now()).unwrap();
            prop_assert_eq!(verified.text(), &text[..]);
            let opened = provider.open(&request, Some(&secret())).unwrap();
            prop_assert_eq!(opened, text.clone());
        }
    }
}

#[test]
fn damaged_vectors_are_read_without_panic() {
    let bodies = sound_bodies();
    proptest!(|(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        byte in any::<u8>(), cut in any::<bool>())| {
        let mut body = which.get(&bodies).clone();
        if !body.is_empty() {
            let at = at.index(body.len());
            body[at] = byte;
            if cut {
                body.truncate(at);
            }
        }
        read_by_all(&body, None);
    });
}
