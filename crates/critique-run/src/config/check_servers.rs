//! What must hold of models that servers sample for.

use std::path::Path;

use super::check::of_model;
use super::{ModelSource, RunConfig};
use crate::error::Misfit;

impl RunConfig {
    /// Whether a stage trains the model that comes from this source, which is one of the run's.
    pub fn trains(&self, source: &ModelSource) -> bool {
        let trained = |name: &str| self.models.get(name);
        let mut stages = self.stages.iter();
        stages.any(|stage| trained(stage.model()).is_some_and(|it| std::ptr::eq(it, source)))
    }

    /// Where versions of the adapter of a trained model are written for its servers.
    pub fn adapters_of(&self, name: &str) -> std::path::PathBuf {
        let source = self.models.get(name);
        let own = source.and_then(|source| source.adapters.clone());
        let folder = own.unwrap_or_else(|| self.out.join("adapters").join(name));
        // Servers have another working directory.
        std::path::absolute(&folder).unwrap_or(folder)
    }

    pub(super) fn check_servers(&self, name: &str, source: &ModelSource) -> Result<(), Misfit> {
        let Some(engine) = source.engine else {
            return self.check_without_servers(name, source);
        };
        let wrong = |key: &str, what: String| {
            let message = format!("`models.{name}.{key}` {what}");
            Err(Misfit::new(of_model(name, key), message))
        };
        if source.path.is_none() {
            let what = "needs `path`: a folder with the model's tokenizer, chat template and \
                        configuration";
            return wrong("engine", what.to_owned());
        }
        if source.urls.is_empty() {
            let what = "is empty; expected an address of a server, such as `http://127.0.0.1:8000`";
            return wrong("urls", what.to_owned());
        }
        for url in &source.urls {
            if let Some(why) = no_address(url) {
                return wrong("urls", format!("has `{url}`: {why}"));
            }
        }
        for (key, value) in [("context", source.context), ("parallel", source.parallel)] {
            if value == Some(0) {
                return wrong(key, "is 0; expected at least 1".to_owned());
            }
        }
        if source
            .log_prob_bound
            .is_some_and(|it| it.is_nan() || it <= 0.0)
        {
            return wrong("log_prob_bound", "must be above 0".to_owned());
        }
        if !self.trains(source) {
            return frozen(name, source);
        }
        if source.lora.is_none() {
            let what = "needs `lora`, as a stage trains the model: servers take adapters alone";
            return wrong("engine", what.to_owned());
        }
        if !engine.takes_adapters() {
            let what = format!(
                "is `{}`, which takes no adapter while it runs, and a stage trains the model; \
                 expected `vllm` or `sglang`",
                engine.name()
            );
            return wrong("engine", what);
        }
        Ok(())
    }

    /// Keys of servers need an engine; and what lies on servers alone cannot be trained.
    fn check_without_servers(&self, name: &str, source: &ModelSource) -> Result<(), Misfit> {
        let given = [
            ("urls", !source.urls.is_empty()),
            ("model", source.model.is_some()),
            ("context", source.context.is_some()),
            ("token_env", source.token_env.is_some()),
            ("parallel", source.parallel.is_some()),
            ("give_up_secs", source.give_up_secs.is_some()),
            ("adapters", source.adapters.is_some()),
            ("log_prob_bound", source.log_prob_bound.is_some()),
        ];
        if let Some((key, _)) = given.into_iter().find(|(_, given)| *given) {
            let message = format!(
                "`models.{name}.{key}` needs `models.{name}.engine`, such as `\"vllm\"`: servers \
                 that sample"
            );
            return Err(Misfit::new(of_model(name, key), message));
        }
        let origin = self.origin(source);
        if origin.engine.is_some() && self.trains(source) {
            let message = format!(
                "`models.{name}.from` leads to a model that servers sample for, and a stage trains \
                 `{name}`; expected `path`"
            );
            return Err(Misfit::new(of_model(name, "from"), message));
        }
        Ok(())
    }
}

/// A frozen model is what the servers have.
fn frozen(name: &str, source: &ModelSource) -> Result<(), Misfit> {
    let given = [
        ("adapter", source.adapter.is_some()),
        ("lora", source.lora.is_some()),
        ("dtype", source.dtype != critique_core::Dtype::F32),
        ("adapters", source.adapters.is_some()),
        ("log_prob_bound", source.log_prob_bound.is_some()),
    ];
    let Some((key, _)) = given.into_iter().find(|(_, given)| *given) else {
        return Ok(());
    };
    let message = format!(
        "`models.{name}.{key}` goes with weights in this process, and this model is what its \
         servers have: no stage trains it; leave the key out"
    );
    Err(Misfit::new(of_model(name, key), message))
}

/// Why an address is none.
fn no_address(url: &str) -> Option<&'static str> {
    let rest = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    match rest {
        None => Some("an address begins with `http://` or `https://`"),
        Some(rest) if rest.contains('@') => {
            Some("a token stands in the environment, and `token_env` names the variable")
        }
        Some(rest) if rest.trim_matches('/').is_empty() || rest.contains(['?', '#', ' ']) => {
            Some("expected a host, with a port and a path where there is one, and no more")
        }
        Some(rest) if Path::new(rest.trim_end_matches('/')).ends_with("v1") => {
            Some("expected it without `/v1`")
        }
        Some(_) => None,
    }
}
