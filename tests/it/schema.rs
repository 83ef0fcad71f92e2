//! Metadata is accepted if and only if the reference's draft-07 schema accepts it.

use std::cell::Cell;

use gen5::Metadata;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::support::data;

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!("")), Just(json!("7")), any::<String>().prop_map(Value::from)]
}

/// Numbers that both sides parse to the same value: those that fit an `i64`, a `u64` or an `f64`.
fn number() -> impl Strategy<Value = Value> {
    let edges =
        [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 30.0, 1e19, 1e300, -1e300, 5e-324, 9_007_199_254_740_994.0];
    prop_oneof![
        4 => (0..40_u64).prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => prop::sample::select(vec![u64::MAX, 1 << 63, (1 << 53) + 1, 1 << 53]).prop_map(Value::from),
        2 => prop::sample::select(edges.to_vec()).prop_map(Value::from),
        1 => prop::num::f64::NORMAL.prop_map(Value::from),
    ]
}

/// Values that seldom fit a member.
fn odd() -> impl Strategy<Value = Value> {
    let fixed = vec![
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!({}),
        json!(["a", "b"]),
        json!(["a", 1]),
        json!([[]]),
        json!([{}]),
        json!([null]),
        json!([{"name": "A"}]),
        json!([{"name": "A"}, {"name": 1}]),
        json!([{"name": "A", "memory_gb": -1}]),
        json!([[{"name": "A"}]]),
        json!({"name": "A"}),
        json!({"seed": 1, "steps": 1, "sampler": ""}),
        json!({"os": "Linux"}),
    ];
    prop_oneof![prop::sample::select(fixed), text(), number(), number()]
}

/// An object with the members of `required`, and sometimes those of `optional`.
fn object(
    required: Vec<(&'static str, BoxedStrategy<Value>)>,
    optional: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Value> {
    let optional =
        optional.into_iter().map(|(name, value)| (Just(name), prop::option::of(value))).collect::<Vec<_>>();
    let required = required.into_iter().map(|(name, value)| (Just(name), value)).collect::<Vec<_>>();
    let unknown = prop::option::weighted(0.2, ("[a-z_]{1,12}", odd()));
    (required, optional, unknown)
        .prop_map(|(required, optional, unknown)| {
            let mut members: Map<String, Value> = unknown.into_iter().collect();
            members.extend(required.into_iter().map(|(name, value)| (name.to_owned(), value)));
            members.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            Value::Object(members)
        })
        .boxed()
}

/// Valid `model_info` values.
fn model_info() -> BoxedStrategy<Value> {
    let text = || text().boxed();
    let texts = |names: &[&'static str]| names.iter().map(|&name| (name, text())).collect::<Vec<_>>();
    let at_least = |minimum: u64| {
        prop_oneof![
            (minimum..100).prop_map(Value::from),
            (minimum..=u64::MAX).prop_map(Value::from),
            (minimum as u32..1000).prop_map(|value| Value::from(f64::from(value))),
        ]
        .boxed()
    };
    let amount =
        || prop_oneof![(0.0..100.0).prop_map(Value::from), (0..100_u64).prop_map(Value::from)].boxed();

    let mut required = texts(&["sampler"]);
    required.extend([("seed", at_least(0)), ("steps", at_least(1))]);
    let mut optional = texts(&["scheduler", "guidance", "precision"]);
    optional.extend([("cfg_scale", amount()), ("eta", amount())]);
    optional.push(("deterministic", any::<bool>().prop_map(Value::from).boxed()));
    let settings = object(required, optional);

    let mut optional = texts(&["driver", "cuda_version"]);
    optional.push(("memory_gb", amount()));
    let gpu = prop::collection::vec(object(texts(&["name"]), optional), 0..3).prop_map(Value::from).boxed();
    let mut optional = texts(&["machine_name", "cpu", "framework", "compute_lib"]);
    optional.extend([("cpu_cores", at_least(1)), ("ram_gb", amount()), ("gpu", gpu)]);
    let hardware = object(texts(&["os"]), optional);

    let tags = prop::collection::vec(text(), 0..4).prop_map(Value::from).boxed();
    let mut required = texts(&["model_name", "version", "date", "prompt"]);
    required.push(("tags", tags));
    object(required, vec![("generation_settings", settings), ("hardware_info", hardware)])
}

/// A change to one value inside another: it is replaced if `Some`, otherwise removed.
type Mutation = (prop::sample::Index, Option<Value>);

/// Every place in `value`, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

fn mutate(value: &mut Value, (index, new): &Mutation) {
    let mut found = Vec::new();
    places(value, "", &mut found);
    let place = index.get(&found);
    match (new, place.rsplit_once('/')) {
        (Some(new), _) => {
            if let Some(old) = value.pointer_mut(place) {
                *old = new.clone();
            }
        }
        (None, Some((parent, name))) => {
            if let Some(Value::Object(members)) = value.pointer_mut(parent) {
                members.remove(name);
            }
        }
        (None, None) => {}
    }
}

#[test]
fn metadata_is_accepted_just_when_the_schema_accepts_it() {
    let schema: Value = serde_json::from_slice(&std::fs::read(data("schema.json")).unwrap()).unwrap();
    let schema = jsonschema::draft7::new(&schema).unwrap();
    let (valid, invalid) = (Cell::new(0), Cell::new(0));
    let mutations =
        prop::collection::vec((any::<prop::sample::Index>(), prop::option::weighted(0.8, odd())), 0..3);
    let config = Config { cases: 4000, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&(model_info(), mutations), |(mut value, mutations)| {
        mutations.iter().for_each(|mutation| mutate(&mut value, mutation));
        let text = value.to_string();
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
        let expected = schema.is_valid(&value);
        let count = if expected { &valid } else { &invalid };
        count.set(count.get() + 1);
        match Metadata::from_json(&text) {
            Ok(metadata) => {
                prop_assert!(expected, "accepted: {}", text);
                let written = serde_json::to_value(metadata.model_info()).unwrap();
                prop_assert!(crate::golden::same_values(&written, &value), "{} became {}", text, written);
                prop_assert_eq!(Metadata::new(metadata.model_info()).unwrap(), metadata);
            }
            Err(error) => prop_assert!(!expected, "refused: {}: {}", text, error),
        }
        Ok(())
    });
    result.unwrap();
    assert!(valid.get() > 500 && invalid.get() > 500, "{} valid, {} invalid", valid.get(), invalid.get());
}

/// The rules of draft-07 for numbers, in which implementations differ.
#[test]
fn numbers_are_those_of_draft_07() {
    let schema: Value = serde_json::from_slice(&std::fs::read(data("schema.json")).unwrap()).unwrap();
    let schema = jsonschema::draft7::new(&schema).unwrap();
    for (steps, valid) in [
        (json!(1), true),
        (json!(1.0), true),
        (json!(30.0), true),
        (json!(1e300), true),
        (json!(u64::MAX), true),
        (json!(0), false),
        (json!(0.0), false),
        (json!(-0.0), false),
        (json!(-1), false),
        (json!(1.5), false),
        (json!(0.99), false),
        (json!(true), false),
        (json!("1"), false),
        (json!(null), false),
    ] {
        let mut value = crate::support::model_info();
        value["generation_settings"]["steps"] = steps.clone();
        assert_eq!(schema.is_valid(&value), valid, "the schema on {steps}");
        assert_eq!(Metadata::from_json(&value.to_string()).is_ok(), valid, "{steps}");
    }
}
