import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { language } from '$messages';

async function begin(): Promise<void> {
  if (import.meta.env.MODE === 'mock') (await import('./mock/install')).install();
  await language.begin();
  const target = document.getElementById('app');
  if (target) mount(App, { target });
}

void begin();
