//! Servers that sample for a model, as the command line names them.

use std::path::Path;

use critique_core::{EngineKind, Servers};
use critique_model::{LanguageModel, Runtime};

use crate::failure::Failure;
use crate::input::model::{count, is_folder, load};

/// The variable that holds the token of servers, where they want one.
const TOKEN: &str = "CRITIQUE_RL_SERVER_TOKEN";

/// The options of one model's servers.
macro_rules! server_options {
    ($(#[$about:meta])* $name:ident, $of:literal, $url:ident, $engine:ident, $model:ident, $context:ident) => {
        $(#[$about])*
        #[derive(Debug, clap::Args)]
        pub(crate) struct $name {
            #[arg(long, value_name = "URL", requires = $of, help = concat!(
                "A server that samples for the model of `--", $of, "`, such as http://gpu9:8000; that folder then \
                 gives tokenizer and shape alone. May be given several times. The token of servers that want one is \
                 in CRITIQUE_RL_SERVER_TOKEN"
            ))]
            $url: Vec<String>,
            #[arg(long, help = "What that server is: vllm, sglang, llama_cpp, or openai for others that take token ids", default_value = "vllm", value_name = "KIND", requires = stringify!($url), value_parser = engine)]
            $engine: EngineKind,
            /// The model's name on the server [default: the folder as it is written]
            #[arg(long, value_name = "NAME", requires = stringify!($url))]
            $model: Option<String>,
            /// Tokens of a prompt and its completion, where the server holds fewer than the model
            #[arg(long, value_name = "N", requires = stringify!($url), value_parser = count)]
            $context: Option<usize>,
        }

        impl $name {
            /// The model of this folder: on its servers where there are any, else in this process.
            pub(crate) fn open(
                &self,
                dir: &Path,
                adapter: Option<&Path>,
                runtime: &Runtime,
            ) -> Result<LanguageModel, Failure> {
                if self.$url.is_empty() {
                    return load(dir, adapter, runtime);
                }
                let name = self.$model.clone().unwrap_or_else(|| dir.display().to_string());
                connect(dir, adapter, Servers {
                    context: self.$context,
                    ..Servers::new(self.$engine, self.$url.clone(), name)
                })
            }
        }
    };
}

server_options!(
    /// Servers of a model that is asked by itself.
    ModelServers, "model", url, engine, served_model, context
);
server_options!(
    /// Servers of the actor.
    #[expect(clippy::struct_field_names, reason = "the option's own name is its field's")]
    ActorServers, "actor", actor_url, actor_engine, actor_model, actor_context
);
server_options!(
    /// Servers of the critic.
    #[expect(clippy::struct_field_names, reason = "the option's own name is its field's")]
    CriticServers, "critic", critic_url, critic_engine, critic_model, critic_context
);

fn connect(dir: &Path, adapter: Option<&Path>, servers: Servers) -> Result<LanguageModel, Failure> {
    if adapter.is_some() {
        return Err(Failure::usage(
            "an adapter of a model on a server lies there; expected its name on the server in place of the folder, \
             such as `--critic-model NAME`",
        ));
    }
    is_folder(dir)?;
    let token = std::env::var_os(TOKEN).filter(|token| !token.is_empty());
    let servers = Servers {
        token_env: token.map(|_| TOKEN.to_owned()),
        ..servers
    };
    Ok(critique_served::open(dir, &servers)?)
}

fn engine(text: &str) -> Result<EngineKind, String> {
    let mut kinds = EngineKind::ALL.into_iter();
    kinds.find(|kind| kind.name() == text).ok_or_else(|| {
        let names = EngineKind::ALL.map(EngineKind::name);
        format!("expected one of {}", names.join(", "))
    })
}
