//! J11 to J14, J16: metadata that is not JSON, or not known, while the latents stay readable.

use gen5::{Error, Reader};
use serde_json::json;

use crate::case::{Case, read};
use crate::good::deep;
use crate::support::{Builder, Chunk};

pub(crate) fn cases() -> Vec<Case> {
    let clauses =
        [refused_metadata(), names(), tokens(), numbers(), unknown(), expensive(), nested(), sizes()];
    clauses.into_iter().flatten().collect()
}

fn one<'a>() -> Builder<'a> {
    Builder::new([Chunk::latent("x", &[1], &[1.0])])
}

fn has_its_latent(reader: &Reader) {
    assert_eq!(*reader.latent("x").unwrap().read::<f32>().unwrap(), [1.0]);
}

/// The latents are readable and the texts are those of the file, but `metadata` fails.
fn refused_metadata() -> Vec<Case> {
    let cases = [
        ("J11", "seed", "\"seed\":7", "\"seed\":NaN"),
        ("J11", "cfg_scale", "\"seed\":7", "\"seed\":7,\"cfg_scale\":Infinity"),
        ("J11", "eta", "\"seed\":7", "\"seed\":7,\"eta\":-Infinity"),
        ("J13", "prompt", "\"prompt\":\"p\"", "\"prompt\":\"\\ud800\""),
        ("J3", "prompt", "\"prompt\":\"p\"", "\"prompt\":\"p\",\"prompt\":\"q\""),
        ("J8", "prompt", "\"prompt\":\"p\"", "\"prompt\":17"),
        ("J7", "prompt", "\"prompt\":\"p\",", ""),
        ("J8", "steps", "\"steps\":20", "\"steps\":0"),
        ("J2", "prompt", "\"prompt\":\"p\"", "\"prompt\":DEEP"),
    ];
    let case = |(clause, member, from, to): (&'static str, &str, &'static str, &'static str)| {
        let to = to.replace("DEEP", &deep());
        let file = one().replace(from, &to).build();
        read(clause, &format!("{member}, refused as metadata"), file, move |reader| {
            has_its_latent(reader);
            let model_info = reader.model_info_json();
            assert!(model_info.contains(&to) && reader.manifest_json().contains(&to));
            assert!(model_info.starts_with('{') && model_info.ends_with('}'));
            let error = reader.metadata().unwrap_err();
            assert!(matches!(error, Error::Metadata { .. }), "{error}");
        })
    };
    cases.into_iter().map(case).collect()
}

fn names() -> Vec<Case> {
    let case = |at: &str| {
        let file = one().replace(at, &format!("\"\\udc00\":1,{at}")).build();
        read("J13", &format!("beside {at}"), file, has_its_latent)
    };
    ["\"gen5_metadata\":", "\"model_info\":", "\"magic\":", "\"seed\":"].map(case).into()
}

fn tokens() -> Vec<Case> {
    let case = |(name, from, to): (&str, &str, &'static str)| {
        read("J11", name, one().replace(from, to).build(), move |reader| {
            has_its_latent(reader);
            assert!(reader.manifest_json().contains(to));
        })
    };
    [
        ("in an unknown list", "\"seed\":7", "\"seed\":7,\"loss\":[NaN, -Infinity]"),
        ("outermost", "\"gen5_metadata\":", "\"loss\":NaN,\"gen5_metadata\":"),
        ("in file_info", "\"magic\":", "\"loss\":NaN,\"magic\":"),
    ]
    .map(case)
    .into()
}

fn numbers() -> Vec<Case> {
    let settings = r#""seed":1180591620717411303424,"cfg_scale":7.50,"note":1e400"#;
    let file = one().replace("\"seed\":7", settings).build();
    vec![read("J12", "seed", file, move |reader| {
        has_its_latent(reader);
        let metadata = reader.metadata().unwrap();
        let info = metadata.model_info();
        assert_eq!(info.generation_settings, None);
        let kept = info.extra.get("generation_settings").unwrap();
        assert!(kept.contains(settings), "{kept}");
        assert!(reader.model_info_json().contains(settings));
    })]
}

fn unknown() -> Vec<Case> {
    let file = Builder::new([Chunk::latent("x", &[1], &[1.0]).record(|record| {
        record["beside"] = json!({"a": 1});
        record["extra"]["inside"] = json!("b");
    })])
    .manifest(|all| {
        all["top"] = json!(1);
        all["gen5_metadata"]["body"] = json!([2]);
        all["gen5_metadata"]["file_info"]["file"] = json!("3");
        all["gen5_metadata"]["model_info"]["model"] = json!(4.5);
    });
    vec![read("J14", "everywhere", file.build(), |reader| {
        has_its_latent(reader);
        let text = reader.manifest_json();
        for kept in ["\"top\":1", "\"body\":[2]", "\"file\":\"3\"", "\"model\":4.5"] {
            assert!(text.contains(kept), "{text}");
        }
        assert_eq!(reader.chunks()[0].unknown().get("beside"), Some("{\"a\":1}"));
        assert_eq!(reader.latent("x").unwrap().extra().unwrap().get("inside"), Some("\"b\""));
        assert_eq!(reader.metadata().unwrap().model_info().extra.get("model"), Some("4.5"));
    })]
}

/// Tables that cost the most memory for their size: eight times their text, as `Limits` says. Empty
/// tags cost more while the list grows, because the old and the new buffer both count.
fn expensive() -> Vec<Case> {
    let members: String = (0..80_000).map(|number| format!("\"{number:x}\":1,")).collect();
    let in_record = one().replace("\"index\":0", &format!("{members}\"index\":0")).build();
    let gpus =
        format!(r#""hardware_info":{{"os":"x","gpu":[{}]}}"#, vec![r#"{"name":"a"}"#; 80_000].join(","));
    let gpus = one().replace("\"tags\":", &format!("{gpus},\"tags\":")).build();
    let tags = one().replace("\"tags\":[", &format!("\"tags\":[{}", "\"\",".repeat(262_000))).build();
    vec![
        read("J14", "80,000 in a record", in_record, |reader| {
            has_its_latent(reader);
            assert_eq!(reader.chunks()[0].unknown().len(), 80_000);
        })
        .costing(8),
        read("J14", "262,000 empty tags", tags, |reader| {
            has_its_latent(reader);
            assert_eq!(reader.metadata().unwrap().model_info().tags.len(), 262_001);
        })
        .costing(20),
        read("J14", "80,000 GPUs", gpus, |reader| {
            has_its_latent(reader);
            assert!(reader.metadata().unwrap().model_info().extra.get("hardware_info").is_some());
        })
        .costing(8),
    ]
}

/// Such values are kept as text and never parsed, so deep nesting cannot exhaust the stack.
fn nested() -> Vec<Case> {
    let case = |at: &str| {
        let file = one().replace(at, &format!("\"deep\":{},{at}", deep())).build();
        read("J14", &format!("deep, beside {at}"), file, |reader| {
            has_its_latent(reader);
            let in_record = reader.chunks()[0].extra().get("deep").is_some();
            let metadata = reader.metadata().unwrap();
            assert!(in_record || metadata.model_info().extra.get("deep") == Some(&*deep()));
            let mut out = std::io::Cursor::new(Vec::new());
            gen5::WriteOptions::new().to_writer(&mut out).unwrap().finish(&metadata).unwrap();
            assert_eq!(Reader::from_bytes(out.into_inner()).unwrap().metadata().unwrap(), metadata);
        })
        .limited(|limits| limits.table_bytes = 4 << 20)
    };
    ["\"prompt\":", "\"tags\":", "\"key\":\"x\""].map(case).into()
}

/// `file_size` is not checked: the builder writes 0, and the reference writes a few bytes too few.
fn sizes() -> Vec<Case> {
    let case = |size: &str| {
        let file = one().replace("\"file_size\":0", &format!("\"file_size\":{size}")).build();
        read("J16", size, file, has_its_latent)
    };
    ["0", "1", "18446744073709551615", "1e999", "-1", "\"many\""].map(case).into()
}
