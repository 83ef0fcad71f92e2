//! Files written here, decoded by the reference.

use std::path::Path;

use gen5::Reader;

use crate::description::{Description, describe_environment, describe_model_info, save, sha256};
use crate::latents::{Contents, Latent, Options};
use crate::random::Random;
use crate::reference;

const FILES: usize = 320;

#[test]
fn files_written_here_decode_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut descriptions = Vec::new();
    let (mut latents, mut parts, mut cut_deep) = (0, 0, 0);
    for number in 0..FILES {
        let mut random = Random::new(number as u64);
        let options = Options::random(&mut random);
        let contents = options.random_contents(&mut random);
        let file = format!("here-{number:05}.gen5");
        let path = folder.path().join(&file);
        let summary = options.write(&mut random, &contents, &path);
        check_own_members(&path, &contents);

        // Streams take their places as they are pushed, so the summary tells the order.
        let find = |key: &str| contents.latents.iter().find(|latent| latent.key == key).unwrap();
        let describe = |latent: &Latent| latent.describe(&options);
        descriptions.push(Description {
            file,
            latents: summary.latents.iter().map(|latent| describe(find(&latent.key))).collect(),
            image_sha256: contents.image.as_deref().map(sha256),
            model_info: describe_model_info(contents.metadata.model_info()),
            environment: contents.environment.as_ref().map(describe_environment),
        });
        assert_eq!(summary.latents.len(), contents.latents.len());
        latents += summary.latents.len();
        for latent in summary.latents.iter().filter(|latent| latent.parts > 1) {
            parts += latent.parts;
            cut_deep += usize::from(latent.shape[0] == 1);
        }
    }
    save(folder.path(), &descriptions);
    let decoded = reference::decodes_strictly(folder.path());
    assert_eq!((decoded.files, decoded.latents, decoded.parts), (FILES, latents, parts));
    assert!(
        parts > 100 && cut_deep > 20,
        "{parts} parts, {cut_deep} latents cut along an axis behind the first"
    );
}

/// The reference passes over what only this crate knows: that is read back here.
fn check_own_members(path: &Path, contents: &Contents) {
    let reader = Reader::open(path).unwrap();
    assert_eq!(reader.metadata().unwrap(), contents.metadata, "{}", path.display());
    for latent in &contents.latents {
        let read = reader.latent(&latent.key).unwrap();
        assert_eq!(read.extra(), Some(&latent.extra), "{}: latent {:?}", path.display(), latent.key);
    }
}
