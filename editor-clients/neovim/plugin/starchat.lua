if vim.g.loaded_starchat then
  return
end
vim.g.loaded_starchat = true

vim.api.nvim_create_user_command("Starchat", function(call)
  require("starchat.command").run(call)
end, {
  nargs = "*",
  range = true,
  bang = true,
  desc = "Run a command of StarChat Assistant",
  complete = function(...)
    return require("starchat.command").complete(...)
  end,
})
