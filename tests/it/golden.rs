//! Files written by the reference, read in every way. Each decodes to the contents in
//! `expected.json`.

use gen5::chunk::Digest;
use gen5::{Dtype, Reader, Version, f16};
use serde_json::Value;

use crate::support::{all_ways, data};

fn expected() -> serde_json::Map<String, Value> {
    serde_json::from_slice(&std::fs::read(data("expected.json")).unwrap()).unwrap()
}

#[test]
fn every_golden_file_decodes_in_every_way() {
    let expected = expected();
    assert_eq!(expected.len(), 8);
    for (name, expected) in &expected {
        for (way, reader) in all_ways(&data(&format!("{name}.gen5"))) {
            check(&reader.unwrap(), expected, &format!("{name} by {way}"));
        }
    }
}

fn check(reader: &Reader, expected: &Value, what: &str) {
    assert_eq!(reader.version(), Version::V1_0, "{what}");
    assert_eq!(reader.file_size(), expected["header"]["file_size"].as_u64().unwrap(), "{what}");
    assert_eq!(reader.verify().unwrap().chunks().len(), reader.chunks().len(), "{what}");

    let latents = expected["latents"].as_array().unwrap();
    assert_eq!(reader.latents().len(), latents.len(), "{what}");
    for (index, (latent, expected)) in reader.latents().zip(latents).enumerate() {
        assert_eq!(latent.key(), expected["key"].as_str(), "{what}");
        assert_eq!(reader.latent(latent.key().unwrap()).unwrap().index(), index, "{what}");
        assert_eq!(latent.dtype().name(), expected["dtype"], "{what}");
        assert_eq!(serde_json::to_value(latent.shape()).unwrap(), expected["shape"], "{what}");
        let mut bytes = Vec::new();
        latent.write_to(&mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes).to_string(), expected["sha256"], "{what}");
        assert_eq!(latent.chunks().next().unwrap().is_compressed(), expected["compressed"], "{what}");
        let first: Vec<f32> = serde_json::from_value(expected["first"].clone()).unwrap();
        let wide = latent.read_as::<f32>().unwrap();
        assert_eq!(wide[..4], first, "{what}");
        if latent.dtype() == Dtype::F16 {
            assert_eq!(bytes_of(&latent.read::<f16>().unwrap()), bytes, "{what}");
            assert_eq!(latent.read_as::<f16>().unwrap().len(), wide.len());
        }
    }

    let image = reader.image().unwrap().map(|image| Digest::of(&image).to_string());
    assert_eq!(serde_json::to_value(image).unwrap(), expected["image_sha256"], "{what}");
    let manifest: Value = serde_json::from_str(reader.manifest_json()).unwrap();
    assert_eq!(manifest, expected["metadata"], "{what}");
    let model_info = serde_json::to_value(reader.metadata().unwrap().model_info()).unwrap();
    assert!(same_values(&model_info, &manifest["gen5_metadata"]["model_info"]), "{what}: {model_info}");

    let environment = reader.environment().unwrap().unwrap();
    let components = expected["environment"].as_array().unwrap();
    assert_eq!(environment.components().len(), components.len(), "{what}");
    for (component, expected) in environment.components().iter().zip(components) {
        assert_eq!(component.id(), expected["component_id"], "{what}");
        assert_eq!(component.canonical(), expected["canonical"], "{what}");
        assert_eq!(component.digest().to_string(), expected["sha256"], "{what}");
    }
}

fn bytes_of(values: &[f16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Compares two JSON values; 7 and 7.0 are equal.
pub(crate) fn same_values(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_values(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same_values(a, b)))
        }
        _ => a == b,
    }
}
