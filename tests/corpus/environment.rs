//! E1 to E3: environments are checked when they are read, and a bad one does not affect the
//! latents.

use gen5::chunk::Digest;
use gen5::environment::Component;
use serde_json::{Value, json};

use crate::case::{Case, damaged, read};
use crate::good::{deep, raw};
use crate::support::{Builder, Chunk, environment_json, tell};

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [altered(), several(), malformed(), large()];
    clauses.into_iter().flatten().collect()
}

/// A good latent followed by an environment chunk with this payload.
fn with_payload(payload: &[u8]) -> Vec<u8> {
    Builder::new([raw("x"), Chunk::raw("ENVC", b"0000", payload, json!({}))]).build()
}

fn with_json(json: &Value) -> Vec<u8> {
    with_payload(json.to_string().as_bytes())
}

fn altered() -> Vec<Case> {
    let with_digest = |digest: &str| {
        let component = json!({"component_id": "os", "cononical_str": "name=os;version=B",
            "component_sha256_digest": digest});
        with_json(&json!({"env_version": 1, "components": [component]}))
    };
    let told = "ComponentDigest chunk 1 at 68 os";
    let other = Digest::of(b"name=os;version=A").to_string();
    damaged(
        "E1",
        [
            ("that of another text", with_digest(&other), told, &*format!("but {other} is recorded")),
            ("empty", with_digest(""), told, "\"os\" was altered"),
            ("not hexadecimal", with_digest(&"g".repeat(64)), told, "\"os\" was altered"),
        ],
    )
}

fn several() -> Vec<Case> {
    let two = with_payload(environment_json().as_bytes());
    let none = Builder::new([]).build();
    vec![
        read("E2", "two components of one id", two, |reader| {
            let gpu = || Component::new("gpu", "name=gpu;model=A");
            assert_eq!(reader.environment().unwrap().unwrap().components(), [gpu(), gpu()]);
        }),
        read("E2", "none at all", none, |reader| {
            assert!(reader.environment().unwrap().is_none() && reader.environment_json().unwrap().is_none());
            assert!(reader.image().unwrap().is_none());
        }),
    ]
}

fn malformed() -> Vec<Case> {
    let component = |value: Value| with_json(&json!({"env_version": 1, "components": [value]}));
    let at = "Json chunk 1 at 68";
    let version = "Value chunk 1 at 68 env_version";
    let digest = json!({"component_id": "os", "cononical_str": "x", "component_sha256_digest": 1});
    damaged(
        "E3",
        [
            (
                "another version",
                with_json(&json!({"env_version": 2, "components": []})),
                version,
                "expected 1",
            ),
            (
                "a version of text",
                with_json(&json!({"env_version": "1", "components": []})),
                version,
                "expected 1",
            ),
            ("no version", with_json(&json!({"components": []})), at, "member env_version is missing"),
            ("no components", with_json(&json!({"env_version": 1})), at, "member components is missing"),
            (
                "components of text",
                with_json(&json!({"env_version": 1, "components": "os"})),
                at,
                "components: ",
            ),
            ("no text", component(json!({"component_id": "os"})), at, "component 0 has no cononical_str"),
            ("no id", component(json!({"cononical_str": "x"})), at, "component 0 has no component_id"),
            ("a component that is a list", component(json!([])), at, "components: "),
            ("a digest of 1", component(digest), at, "component 0, component_sha256_digest"),
            ("a list", with_payload(b"[]"), at, ""),
            ("empty", with_payload(b""), at, "EOF"),
            ("not UTF-8", with_payload(b"{\"\xff\"}"), at, "not UTF-8 from byte 2 on"),
            ("a byte order mark", with_payload(b"\xef\xbb\xbf{}"), at, "expected value"),
            ("NaN", with_payload(b"{\"env_version\":1,\"components\":[],\"x\":NaN}"), at, "expected value"),
            (
                "a member twice",
                with_payload(b"{\"env_version\":1,\"env_version\":1,\"components\":[]}"),
                at,
                "twice",
            ),
            ("deep", with_payload(deep().as_bytes()), at, ""),
            (
                "deep components",
                with_payload(format!("{{\"env_version\":1,\"components\":{}}}", deep()).as_bytes()),
                at,
                "",
            ),
        ],
    )
}

/// The limits on the environment and the image apply when each is read, not at opening.
fn large() -> Vec<Case> {
    let long = "x".repeat(2 << 20);
    let digest = Digest::of(long.as_bytes());
    let component = json!({"component_id": "x", "cononical_str": long, "component_sha256_digest": digest});
    let json = json!({"env_version": 1, "components": [component]}).to_string();
    let environment = Chunk::raw("ENVC", b"0000", json.as_bytes(), json!({})).compressed();
    let image = Chunk::raw("DATA", b"0000", &vec![0; 2 << 20], json!({})).compressed();
    let file = |chunk: Chunk<'_>| Builder::new([raw("x"), chunk]).build();
    let told = "Limit chunk 1 at 68 environment_bytes";
    let mut cases = damaged("E3", [("over the limit", file(environment), told, "over the limit of 1048576")]);
    cases.push(read("Z3", "as an image of 2 MiB", file(image), |reader| {
        let error = reader.image().unwrap_err();
        assert_eq!(tell(&error), "Limit chunk 1 at 68 image_bytes");
        reader.latent("x").unwrap().read::<f32>().unwrap();
    }));
    cases
}
