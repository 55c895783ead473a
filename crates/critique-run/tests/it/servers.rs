//! What run files may say of models that servers sample for.

use critique_run::RunConfig;

/// A run with these lines for its models; a stage trains the critic.
fn check(models: &str) -> Result<RunConfig, String> {
    let text = format!(
        "seed = 1\nout = \"runs/x\"\ntask = {{ name = \"arithmetic\" }}\n{models}\n[[stages]]\nkind = \
         \"rl\"\nname = \"one\"\nsteps = 1\nlr = 1e-3\nrewards = {{ discriminability = 1.0 }}\nkl_coef = 0.01\n"
    );
    let config: RunConfig = toml::from_str(&text).map_err(|error| error.to_string())?;
    match config.check() {
        Ok(()) => Ok(config),
        Err(misfit) => Err(format!("{}: {misfit}", misfit.at)),
    }
}

const CRITIC: &str = "models.critic.path = \"m\"\n";
const ACTOR: &str = "models.actor = { path = \"m\", engine = \"vllm\", urls = [\"http://a:1\"] }\n";

#[test]
fn an_actor_on_servers_has_the_name_of_its_folder_where_none_is_given() {
    let config = check(&format!("{CRITIC}{ACTOR}")).unwrap();
    let servers = config.models["actor"].servers().unwrap();
    assert_eq!((&*servers.model, servers.parallel), ("m", 32));
    assert!(!config.trains(&config.models["actor"]) && config.trains(&config.models["critic"]));
}

#[test]
fn what_does_not_go_with_servers_is_named() {
    let actor = |keys: &str| check(&format!("{CRITIC}models.actor = {{ {keys} }}\n")).unwrap_err();
    let vllm = "engine = \"vllm\", urls = [\"http://a:1\"]";
    for (keys, at) in [
        (
            format!(
                "new = {{ d_model = 8, layers = 1, heads = 1, d_ff = 8, context = 8 }}, {vllm}"
            ),
            "engine",
        ),
        (
            format!("path = \"m\", lora = {{ r = 2, alpha = 2 }}, {vllm}"),
            "lora",
        ),
        (format!("path = \"m\", adapter = \"a\", {vllm}"), "adapter"),
        ("path = \"m\", engine = \"vllm\"".to_owned(), "urls"),
        ("path = \"m\", urls = [\"http://a:1\"]".to_owned(), "urls"),
        (
            "path = \"m\", engine = \"vllm\", urls = [\"a:1\"]".to_owned(),
            "urls",
        ),
        (
            "path = \"m\", engine = \"vllm\", urls = [\"http://me:secret@a:1\"]".to_owned(),
            "urls",
        ),
        (
            "path = \"m\", engine = \"vllm\", urls = [\"http://a:1/v1\"]".to_owned(),
            "urls",
        ),
        (format!("path = \"m\", parallel = 0, {vllm}"), "parallel"),
    ] {
        let error = actor(&keys);
        assert!(
            error.starts_with(&format!("models.actor.{at}: ")),
            "{keys}: {error}"
        );
    }
}

#[test]
fn a_trained_model_on_servers_is_an_adapter_that_they_take() {
    let critic = |keys: &str| check(&format!("{ACTOR}models.critic = {{ {keys} }}\n"));
    let on = |engine: &str| format!("path = \"m\", engine = \"{engine}\", urls = [\"http://a:1\"]");
    let lora = "lora = { r = 2, alpha = 2 }";
    assert!(critic(&format!("{}, {lora}", on("vllm"))).is_ok());
    let error = critic(&on("vllm")).unwrap_err();
    assert!(error.contains("needs `lora`"), "{error}");
    let error = critic(&format!("{}, {lora}", on("llama_cpp"))).unwrap_err();
    assert!(error.contains("expected `vllm` or `sglang`"), "{error}");
    let error = critic("from = \"actor\"").unwrap_err();
    assert!(error.starts_with("models.critic.from: "), "{error}");
}
