//! A trained adapter on its way to the servers.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use serde_json::{Value, json};

use super::check::{find, list};
use super::{EngineKind, Pushed, Remote, Text};
use crate::error::RemoteError;
use crate::http::Http;

const ANSWER_BYTES: u64 = 1 << 20;

impl<T: Text> Remote<T> {
    /// Loads an adapter (a PEFT folder that the servers see under the same path) on every server;
    /// what is sampled from then on is its. The folder must be a new one each time: a server keeps
    /// what it has computed under an adapter's name and path, and goes on with it though the files
    /// have changed.
    ///
    /// A server that is away gets it when it is back.
    ///
    /// # Errors
    ///
    /// When the folder was pushed before, a server refuses it, or does not name it afterwards.
    pub fn push_adapter(&self, folder: &Path, version: u64) -> Result<(), RemoteError> {
        let next = Pushed {
            name: format!("critic-v{version}"),
            folder: folder.to_owned(),
            version,
        };
        self.check_new(&next)?;
        let mut loaded = 0;
        let mut away = Vec::new();
        for (index, http) in self.pool.servers().enumerate() {
            match self.load_adapter(http, &next) {
                Ok(()) => loaded += 1,
                Err(error) if error.is_transient() => {
                    away.push(error.chain());
                    self.pool.take_out(index, &error);
                }
                Err(error) => return Err(error),
            }
        }
        if loaded == 0 {
            let (waited_secs, causes) = (0, away);
            return Err(RemoteError::NoServer {
                waited_secs,
                causes,
            });
        }
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.push(next.folder.clone());
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = current.replace(next) {
            self.unload(&last);
        }
        Ok(())
    }

    fn check_new(&self, next: &Pushed) -> Result<(), RemoteError> {
        let unsupported = |message: String| RemoteError::Unsupported {
            url: self.settings.urls[0].clone(),
            message,
        };
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.contains(&next.folder) {
            return Err(unsupported(format!(
                "was given `{}` before; write each version of the adapter into a folder of its own",
                next.folder.display()
            )));
        }
        if let Some(current) = self.current().filter(|it| it.version >= next.version) {
            return Err(unsupported(format!(
                "samples version {} already; the version {} is not newer",
                current.version, next.version
            )));
        }
        if self.settings.engine.takes_adapters() {
            return Ok(());
        }
        let message =
            "takes no adapter while it runs; a critic that is trained needs vLLM or SGLang";
        Err(unsupported(message.to_owned()))
    }

    /// Loads an adapter on one server and reads back that it is there.
    pub(super) fn load_adapter(&self, http: &Http, adapter: &Pushed) -> Result<(), RemoteError> {
        match self.settings.engine {
            EngineKind::Sglang => load_sglang(http, adapter),
            _ => self.load_vllm(http, adapter),
        }
    }

    fn load_vllm(&self, http: &Http, adapter: &Pushed) -> Result<(), RemoteError> {
        // It may be there already, when an earlier answer was lost.
        if find(&list(http)?, &adapter.name).is_none() {
            let body = json!({ "lora_name": adapter.name, "lora_path": adapter.folder });
            let call = "v1/load_lora_adapter";
            http.post_bytes(call, &body, ANSWER_BYTES)
                .map_err(|error| not_loaded(http, adapter, error))?;
        }
        let models = list(http)?;
        let Some(entry) = find(&models, &adapter.name) else {
            return Err(http.differs(format!(
                "said that it loaded the adapter `{}`, but does not serve it",
                adapter.name
            )));
        };
        let root = entry["root"].as_str().map(PathBuf::from);
        if let Some(root) = root.filter(|it| *it != adapter.folder) {
            return Err(stale(http, adapter, &root));
        }
        let parent = entry["parent"]
            .as_str()
            .filter(|it| *it != self.settings.model);
        parent.map_or(Ok(()), |parent| {
            Err(http.differs(format!(
                "has the adapter `{}` on `{parent}`, not on `{}`",
                adapter.name, self.settings.model
            )))
        })
    }

    /// Frees the place of the version before. A server that cannot has a place less, no more.
    fn unload(&self, last: &Pushed) {
        let call = match self.settings.engine {
            EngineKind::Sglang => "unload_lora_adapter",
            _ => "v1/unload_lora_adapter",
        };
        for http in self.pool.servers() {
            let _ = http.post_bytes(call, &json!({ "lora_name": last.name }), ANSWER_BYTES);
        }
    }
}

fn load_sglang(http: &Http, adapter: &Pushed) -> Result<(), RemoteError> {
    let call = "load_lora_adapter";
    let body = json!({ "lora_name": adapter.name, "lora_path": adapter.folder });
    let answer: Value = http
        .post(call, &body, ANSWER_BYTES)
        .map_err(|error| not_loaded(http, adapter, error))?;
    let loaded = answer["loaded_adapters"][&adapter.name]
        .as_str()
        .map(PathBuf::from);
    match loaded {
        Some(folder) if folder == adapter.folder => Ok(()),
        Some(folder) => Err(stale(http, adapter, &folder)),
        None => Err(http.differs(format!(
            "did not load the adapter `{}` from `{}`: {}",
            adapter.name,
            adapter.folder.display(),
            crate::http::quoted(
                answer["error_message"]
                    .as_str()
                    .unwrap_or("it does not say why")
            )
        ))),
    }
}

fn stale(http: &Http, adapter: &Pushed, found: &Path) -> RemoteError {
    http.differs(format!(
        "has an adapter `{}` from `{}`, not from `{}`: it is of another run or an older version; unload it or start \
         the server anew",
        adapter.name,
        found.display(),
        adapter.folder.display()
    ))
}

fn not_loaded(http: &Http, adapter: &Pushed, error: RemoteError) -> RemoteError {
    match error {
        RemoteError::Status { status, detail, .. } if (400..500).contains(&status) && status != 429 => http.differs(format!(
            "did not load the adapter `{}` from `{}` ({status}: {detail}); it must see that folder, and vLLM must be \
             started with `--enable-lora`, `--max-lora-rank` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
            adapter.name,
            adapter.folder.display()
        )),
        other => other,
    }
}
