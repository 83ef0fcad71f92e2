//! The interpreter's answer, and what of it can be used.

use std::collections::HashMap;

use serde::Deserialize;

use super::super::plain;

/// The distributions, besides torch and numpy, that decide an image. Builds of one package that are installed by other
/// names are told by these.
pub(super) const PACKAGES: [&str; 16] = [
    "diffusers",
    "transformers",
    "accelerate",
    "xformers",
    "safetensors",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-gpu",
    "tensorflow-rocm",
    "jax",
    "jaxlib",
    "flax",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-rocm",
];

/// An interpreter and its packages; all texts can stand in components.
#[derive(Debug, Default, PartialEq)]
pub(in crate::capture) struct Python {
    pub(in crate::capture) version: Option<String>,
    pub(in crate::capture) torch: Option<Torch>,
    /// The version of numpy, whole.
    pub(in crate::capture) numpy: Option<String>,
    /// Of [`PACKAGES`], and in their order, those that are there, with the public part of their versions.
    pub(in crate::capture) packages: Vec<(&'static str, String)>,
}

/// PyTorch.
#[derive(Debug, PartialEq)]
pub(in crate::capture) struct Torch {
    /// The public part of its version.
    pub(in crate::capture) version: String,
    /// What it was built for.
    pub(in crate::capture) cuda: Option<String>,
    pub(in crate::capture) rocm: Option<String>,
}

/// The answer as it is written.
#[derive(Deserialize)]
struct Answer {
    python: Option<String>,
    torch: Option<TorchAnswer>,
    numpy: Option<String>,
    packages: HashMap<String, Option<String>>,
}

/// What `torch/version.py` assigns.
#[derive(Deserialize)]
struct TorchAnswer {
    #[serde(rename = "__version__")]
    version: Option<String>,
    cuda: Option<String>,
    hip: Option<String>,
    rocm: Option<String>,
}

impl Python {
    /// Reads the answer; `None` if it is not one. What cannot stand in a component is left out.
    pub(super) fn from_json(answer: &str) -> Option<Self> {
        let answer: Answer = serde_json::from_str(answer).ok()?;
        let text = |text: Option<String>| text.as_deref().and_then(plain);
        let torch = answer.torch.and_then(|torch| {
            Some(Torch {
                version: public(&torch.version?)?,
                cuda: text(torch.cuda),
                rocm: text(torch.rocm).or_else(|| text(torch.hip)),
            })
        });
        let version = |name: &str| public(answer.packages.get(name)?.as_deref()?);
        Some(Self {
            version: text(answer.python),
            torch,
            numpy: text(answer.numpy),
            packages: PACKAGES.iter().filter_map(|name| Some((*name, version(name)?))).collect(),
        })
    }
}

/// A version without its local part, which tells how it was built: `2.15.0` of `2.15.0+cu132`.
fn public(version: &str) -> Option<String> {
    plain(version.split('+').next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_stand_in_a_component_is_left_out() {
        let python = Python::from_json(
            r#"{"python": "3.11.7\n", "numpy": "2;name=torch",
                "torch": {"__version__": "2.15.0+cu132", "cuda": "", "hip": "6.2\u0000", "rocm": null},
                "packages": {"flax": "1+2", "diffusers": "0.35.1", "evil": "1", "jax": null, "jaxlib": "a\nb"}}"#,
        )
        .unwrap();
        let expected = Python {
            version: Some("3.11.7".into()),
            torch: Some(Torch { version: "2.15.0".into(), cuda: None, rocm: None }),
            numpy: None,
            packages: vec![("diffusers", "0.35.1".into()), ("flax", "1".into())],
        };
        assert_eq!(python, expected);
    }

    #[test]
    fn other_answers_are_none() {
        let deep = "[".repeat(100_000);
        for answer in ["", "null", "[]", "{}", r#"{"packages": []}"#, r#"{"packages": {"jax": 1}}"#, &deep] {
            assert_eq!(Python::from_json(answer), None, "{}", answer.len());
        }
        assert_eq!(Python::from_json(r#"{"packages": {}}"#), Some(Python::default()));
        let unversioned = r#"{"packages": {}, "torch": {"cuda": "13.2"}}"#;
        assert_eq!(Python::from_json(unversioned), Some(Python::default()));
    }
}
