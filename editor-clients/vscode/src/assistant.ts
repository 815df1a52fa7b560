// The language server as the rest of the extension sees it: started, asked, told, restarted.

import * as vscode from "vscode";
import { CloseAction, ErrorAction, LanguageClient, State, type LanguageClientOptions, type Middleware } from "vscode-languageclient/node";
import { locate } from "./locate";
import { NOT_RUNNING } from "./sentence";

/** What the server says of the model: the parameters of `starchat/status`. */
export interface Status {
  state: "off" | "preparing" | "starting" | "loading" | "ready" | "failed";
  model: string;
  active: number;
  queued: number;
  reason?: string;
  progress?: number;
  remote?: string;
}

/** A server that ended this often within so many milliseconds is not started again by itself. */
const DEATHS = 5;
const MEMORY = 180_000;

/** How it stands with the server's own process. */
export type Life = "missing" | "starting" | "running" | "stopped";

export class Assistant implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private deaths: number[] = [];
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onChange = this.changed.event;
  life: Life = "starting";
  status: Status = { state: "off", model: "", active: 0, queued: 0 };
  /** Which program runs, for people to read. */
  origin = "";

  constructor(
    private readonly context: vscode.ExtensionContext,
    readonly output: vscode.LogOutputChannel,
    private readonly middleware: (assistant: Assistant) => Middleware,
  ) {}

  /** Start the server; where there is none, say so in `life` and leave the rest to `environment.ts`. */
  async start(): Promise<void> {
    const found = await locate(this.context, this.output);
    if (found === undefined) {
      return this.now("missing");
    }
    this.origin = `${found.command} (${found.origin})`;
    this.output.info(`Starting ${this.origin}`);
    await vscode.workspace.fs.createDirectory(this.context.globalStorageUri);
    // The working folder is ours: nothing of a workspace may be found before what the server wants to import.
    const options = { cwd: this.context.globalStorageUri.fsPath };
    const client = new Client("starchat", "StarChat", { command: found.command, options }, this.options());
    this.client = client;
    client.onNotification("starchat/status", (status: Status) => this.heard(status));
    client.onDidChangeState(({ newState }) => this.follow(client, newState));
    try {
      await client.start();
    } catch (error) {
      this.output.error(`The server could not be started: ${String(error)}`);
    }
  }

  /** End the server and start the one that the settings name now. */
  async restart(): Promise<void> {
    this.deaths = [];
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    this.status = { state: "off", model: "", active: 0, queued: 0 };
    await client?.dispose().catch((error: unknown) => this.output.warn(`The server did not end in order: ${String(error)}`));
  }

  /** The client; while it starts, what is asked of it waits.  Throws a sentence for the user where there is none. */
  get running(): LanguageClient {
    if (this.client === undefined) {
      throw new Error(NOT_RUNNING);
    }
    return this.client;
  }

  /** The verbs of all commands that the server has, users' own among them. */
  async commands(): Promise<string[]> {
    await this.request("starchat/ping", {}); // once it answers, it has said what it can do
    const offered = this.running.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
    return offered.map((command) => command.replace(/^starchat\./, ""));
  }

  /** Ask the server something of our own; cancelling the token cancels the work. */
  request<Reply>(method: string, params: object, token?: vscode.CancellationToken): Promise<Reply> {
    // A token that is undefined would be taken for a parameter, so it is not passed at all.
    return token ? this.running.sendRequest<Reply>(method, params, token) : this.running.sendRequest<Reply>(method, params);
  }

  dispose(): void {
    void this.stop();
  }

  private options(): LanguageClientOptions {
    return {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
      outputChannel: this.output,
      initializationOptions: { starchat: vscode.workspace.getConfiguration("starchat") },
      middleware: this.middleware(this),
      // A client that was still greeting its server cannot be started again, so each server gets a client of its own: see `revive`.
      errorHandler: {
        error: (_error, _message, count) => ({ action: (count ?? 0) <= 3 ? ErrorAction.Continue : ErrorAction.Shutdown }),
        closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
      },
      initializationFailedHandler: () => false,
    };
  }

  /** What the server before said holds no longer; one that has ended by itself is started again. */
  private follow(client: LanguageClient, state: State): void {
    if (client !== this.client) return;
    this.status = { state: "off", model: "", active: 0, queued: 0 };
    this.now(LIVES[state]);
    if (state === State.Running) {
      client.sendRequest<Status>("starchat/status", {}).then((status) => this.heard(status), () => {});
    } else if (state !== State.Starting) {
      void client.dispose().catch(() => {}); // it may have a process left, and no connection
      void this.revive();
    }
  }

  /** Start the server again that has ended by itself, unless it does so all the time. */
  private async revive(): Promise<void> {
    const now = Date.now();
    this.client = undefined;
    this.deaths = [...this.deaths.filter((each) => now - each < MEMORY), now];
    if (this.deaths.length < DEATHS) {
      return this.start();
    }
    this.output.error(`The server has ended ${DEATHS} times and is not started again.`);
    const choice = await vscode.window.showErrorMessage("StarChat: The server ends again and again.", "Start It Again", "Show Log");
    if (choice === "Show Log") this.output.show();
    else if (choice) await this.restart();
  }

  private heard(status: Status): void {
    this.status = status;
    this.changed.fire();
  }

  private now(life: Life): void {
    this.life = life;
    this.changed.fire();
  }
}

/** What goes wrong with a connection is written to the log; whether the user is to be told is decided in `revive`. */
class Client extends LanguageClient {
  override error(message: string, data?: unknown, show: boolean | "force" = true): void {
    super.error(message, data, show === "force" ? false : show);
  }
}

const LIVES: Record<State, Life> = {
  [State.Stopped]: "stopped",
  [State.Starting]: "starting",
  [State.Running]: "running",
  [State.StartFailed]: "stopped",
};
