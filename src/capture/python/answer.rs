//! The interpreter's answer, and its usable parts.

use std::collections::HashMap;

use serde::Deserialize;

use super::super::plain;

/// The distributions, in addition to torch and numpy, that affect an image. Builds of a package
/// with another name are reported under that name.
pub(in crate::capture) const PACKAGES: [&str; 16] = [
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

/// An interpreter and its packages. All texts are valid in components.
#[derive(Debug, Default, PartialEq)]
pub(in crate::capture) struct Python {
    pub(in crate::capture) version: Option<String>,
    pub(in crate::capture) torch: Option<Torch>,
    /// The full version of numpy.
    pub(in crate::capture) numpy: Option<String>,
    /// The installed packages of [`PACKAGES`], in that order, with the public part of their
    /// versions.
    pub(in crate::capture) packages: Vec<(&'static str, String)>,
}

/// PyTorch.
#[derive(Debug, PartialEq)]
pub(in crate::capture) struct Torch {
    /// The public part of its version.
    pub(in crate::capture) version: String,
    /// The CUDA version that it was built for.
    pub(in crate::capture) cuda: Option<String>,
    pub(in crate::capture) rocm: Option<String>,
}

/// The answer in its JSON form.
#[derive(Deserialize)]
struct Answer {
    python: Option<String>,
    torch: Option<TorchAnswer>,
    numpy: Option<String>,
    packages: HashMap<String, Option<String>>,
}

/// The variables in `torch/version.py`.
#[derive(Deserialize)]
struct TorchAnswer {
    #[serde(rename = "__version__")]
    version: Option<String>,
    cuda: Option<String>,
    hip: Option<String>,
    rocm: Option<String>,
}

impl Python {
    /// Parses the answer, or returns `None` if it is malformed. Texts that are not valid in a
    /// component are left out.
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

/// Returns a version without its local part, which describes the build: `2.15.0` of `2.15.0+cu132`.
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
